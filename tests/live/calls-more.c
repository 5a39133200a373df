// SPDX-License-Identifier: Apache-2.0
/*
 * Blocking calls on things that no copy can have yet (asynchronous I/O, POSIX message queues, full
 * socket queues): the checkpoint goes by, and none of them may end early, with EINTR or late.
 */
#include "waiters.h"

#include <linux/aio_abi.h>
#include <mqueue.h>
#include <sys/un.h>

static void set_aio(struct waiter *w)
{
	aio_context_t ctx = 0;

	CHECK(syscall(SYS_io_setup, 4, &ctx) == 0);
	w->aio = ctx;
}

static long call_aio(struct waiter *w)
{
	struct io_event ev;

	return syscall(SYS_io_getevents, w->aio, 1, 1, &ev, w->wake ? NULL : &w->timeout);
}

/* One that ends at once. */
static void wake_aio(struct waiter *w)
{
	char *path = subject_path("aio");
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct iocb one = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (unsigned)fd };
	struct iocb *list[] = { &one };
	static char buf[8];

	one.aio_buf = (uintptr_t)buf;
	one.aio_nbytes = sizeof(buf);
	CHECK(syscall(SYS_io_submit, w->aio, 1, list) == 1);
}

static void set_queue(struct waiter *w)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[64];

	snprintf(name, sizeof(name), "/amber-t-calls-%d-%ld", getpid(), w->ms);
	w->id = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	CHECK(w->id >= 0 && mq_unlink(name) == 0);
}

static void set_full_queue(struct waiter *w)
{
	set_queue(w);
	CHECK(mq_send(w->id, "full", 4, 0) == 0);
}

static long call_mq_receive(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_REALTIME);
	char buf[8];

	return w->wake ? mq_receive(w->id, buf, sizeof(buf), NULL)
		       : mq_timedreceive(w->id, buf, sizeof(buf), NULL, &end);
}

static long call_mq_send(struct waiter *w)
{
	struct timespec end = waiter_deadline(w, CLOCK_REALTIME);

	return w->wake ? mq_send(w->id, "more", 4, 0) : mq_timedsend(w->id, "more", 4, 0, &end);
}

static void wake_mq_receive(struct waiter *w)
{
	CHECK(mq_send(w->id, "woken", 5, 0) == 0);
}

static void wake_mq_send(struct waiter *w)
{
	char buf[8];

	CHECK(mq_receive(w->id, buf, sizeof(buf), NULL) == 4);
}

/* A stream socket whose peer reads nothing. */
static void set_full_socket(struct waiter *w)
{
	struct timeval limit = { w->ms / 1000, w->ms % 1000 * 1000 };
	static char page[4096];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, w->fd) == 0);
	while (send(w->fd[0], page, sizeof(page), MSG_DONTWAIT) > 0)
		;
	if (!w->wake)
		CHECK(setsockopt(w->fd[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
}

static long call_send(struct waiter *w)
{
	return send(w->fd[0], "x", 1, 0);
}

static void wake_send(struct waiter *w)
{
	static char page[4096];

	while (recv(w->fd[1], page, sizeof(page), MSG_DONTWAIT) > 0)
		;
}

/* A listener whose queue is full. */
static void set_full_listener(struct waiter *w)
{
	struct timeval limit = { w->ms / 1000, w->ms % 1000 * 1000 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "amber-calls-more-%d-%ld", getpid(),
		 w->ms);
	w->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	w->fd[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(bind(w->fd[0], (void *)&addr, sizeof(addr)) == 0 && listen(w->fd[0], 0) == 0);
	CHECK(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&addr, sizeof(addr)) == 0);
	if (!w->wake)
		CHECK(setsockopt(w->fd[1], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
}

static long call_connect(struct waiter *w)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);

	CHECK(getsockname(w->fd[0], (void *)&addr, &len) == 0);
	return connect(w->fd[1], (void *)&addr, len);
}

static void wake_connect(struct waiter *w)
{
	CHECK(accept(w->fd[0], NULL, NULL) >= 0);
}

/* Nobody opens the other end before it is woken. */
static void set_fifo(struct waiter *w)
{
	w->path = subject_path("fifo");
	CHECK(mkfifo(w->path, 0600) == 0);
}

static long call_open(struct waiter *w)
{
	return open(w->path, O_RDONLY) < 0 ? -1 : 0;
}

static void wake_open(struct waiter *w)
{
	CHECK(open(w->path, O_WRONLY) >= 0);
}

static struct waiter waiters[] = {
	WOKEN("io_getevents", set_aio, call_aio, wake_aio, 1),
	TIMED("io_getevents timeout", set_aio, call_aio, 0, 0, false),
	WOKEN("mq_receive", set_queue, call_mq_receive, wake_mq_receive, 5),
	TIMED("mq_timedreceive", set_queue, call_mq_receive, -1, ETIMEDOUT, false),
	WOKEN("mq_send", set_full_queue, call_mq_send, wake_mq_send, 0),
	TIMED("mq_timedsend", set_full_queue, call_mq_send, -1, ETIMEDOUT, false),
	WOKEN("send", set_full_socket, call_send, wake_send, 1),
	TIMED("send timeout", set_full_socket, call_send, -1, EAGAIN, true),
	WOKEN("connect", set_full_listener, call_connect, wake_connect, 0),
	TIMED("connect timeout", set_full_listener, call_connect, -1, EAGAIN, true),
	WOKEN("open fifo", set_fifo, call_open, wake_open, 0),
};

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	waiters_run(waiters, sizeof(waiters) / sizeof(waiters[0]));
}
