// SPDX-License-Identifier: Apache-2.0
/*
 * ns-call: doing something inside of namespaces, in a child that lives as long as the call.
 *
 * The child never returns into our caller: it answers over a socket and leaves by _exit(), so that
 * no exit handler, no leak checker and no buffered output of ours runs twice.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "kernel/ns.h"

/* What the child answers, followed by len bytes. */
struct answer {
	int64_t r;
	uint64_t len;
	struct error err;
	bool has_fd;
};

struct call {
	const int *ns_fds;
	ns_call_fn *fn;
	void *arg;
	int reply; /* the child's end */
};

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

/* Dies with its parent. Changed credentials forget it, so it is asked for after joining, too. */
static void die_with(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

/*
 * With full privilege everything is joined first and the user namespace last; without, the user
 * namespace is what gives the privilege for the rest: what was refused is tried again behind it.
 */
static int join(const int *ns_fds, struct error *err)
{
	static const enum ns_kind order[] = {
		NS_CGROUP, NS_IPC,	     NS_UTS,	      NS_NET, NS_PID,
		NS_TIME,   NS_TIME_CHILDREN, NS_PID_CHILDREN, NS_MNT,
	};
	bool again[NS_KINDS] = { false };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		enum ns_kind kind = order[i];

		if (ns_fds[kind] < 0 || setns(ns_fds[kind], ns_kind_flag(kind)) == 0)
			continue;
		if (errno != EPERM || ns_fds[NS_USER] < 0)
			return error_errno(err, errno, "cannot join the %s namespace",
					   ns_kind_name(kind));
		again[kind] = true;
	}
	if (ns_fds[NS_USER] >= 0 && setns(ns_fds[NS_USER], CLONE_NEWUSER) < 0)
		return error_errno(err, errno, "cannot join the user namespace");
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (again[order[i]] && setns(ns_fds[order[i]], ns_kind_flag(order[i])) < 0)
			return error_errno(err, errno, "cannot join the %s namespace",
					   ns_kind_name(order[i]));
	return 0;
}

static void send_answer(int reply, const struct answer *answer, const struct buf *out, int fd)
{
	union control control = { 0 };
	struct iovec iov = { (void *)answer, sizeof(*answer) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = control.space;
		msg.msg_controllen = sizeof(control.space);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(reply, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return;
	/* A descriptor goes with the first byte; what did not fit follows. */
	if ((size_t)n < sizeof(*answer) &&
	    fd_write_all(reply, (const char *)answer + n, sizeof(*answer) - n, NULL) < 0)
		return;
	/* A reader that went away needs no answer. */
	if (out->len && fd_write_all(reply, out->data, out->len, NULL) < 0)
		return;
}

static void run_inside(const struct call *call, struct answer *answer)
{
	struct buf out = BUF_INIT;
	int fd = -1;

	answer->r = call->fn(call->arg, &out, &fd, &answer->err);
	if (out.len > NS_CALL_MAX) {
		answer->r = error_set(&answer->err, ERROR_SYSTEM, E2BIG,
				      "more than %zu bytes from inside a namespace", NS_CALL_MAX);
		out.len = 0;
	}
	answer->len = out.len;
	answer->has_fd = fd >= 0;
	send_answer(call->reply, answer, &out, fd);
	buf_deinit(&out);
	_exit(0);
}

static bool wants_pid(const int *ns_fds)
{
	return ns_fds && (ns_fds[NS_PID] >= 0 || ns_fds[NS_PID_CHILDREN] >= 0);
}

/* In the child: join, and step into the pid namespace by one more fork. */
static void child(const struct call *call, pid_t parent)
{
	struct answer answer = { 0 };
	const struct buf nothing = BUF_INIT;
	pid_t self = getpid(), inner = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	die_with(parent);
	if (call->ns_fds)
		answer.r = join(call->ns_fds, &answer.err);
	die_with(parent);
	if (answer.r == 0 && wants_pid(call->ns_fds)) {
		inner = fork();
		if (inner < 0)
			answer.r =
				error_errno(&answer.err, errno, "cannot fork in a pid namespace");
	}
	if (answer.r < 0) {
		send_answer(call->reply, &answer, &nothing, -1);
		_exit(0);
	}
	if (inner > 0) {
		while (waitpid(inner, NULL, 0) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	/* A member of another pid namespace sees its parent as 0. */
	if (wants_pid(call->ns_fds)) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != 0 && getppid() != self)
			_exit(1);
	}
	run_inside(call, &answer);
}

static int receive_answer(int from, struct answer *answer, int *ret_fd, struct error *err)
{
	union control control = { 0 };
	struct iovec iov = { answer, sizeof(*answer) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.space,
			      .msg_controllen = sizeof(control.space) };
	size_t have;
	ssize_t n;

	do {
		n = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n > 0 && msg.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.head.cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(&control.head), sizeof(*ret_fd));
	for (have = MAX(n, (ssize_t)0); n > 0 && have < sizeof(*answer); have += n) {
		do {
			n = read(from, (char *)answer + have, sizeof(*answer) - have);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			break;
	}
	if (n <= 0)
		return error_set(err, ERROR_INTERNAL, EPROTO,
				 "the helper inside the namespace died before it answered");
	return 0;
}

static int receive_bytes(int from, uint64_t len, struct buf *out, struct error *err)
{
	size_t end;
	int r;

	if (len > NS_CALL_MAX || (len && !out))
		return error_set(err, ERROR_INTERNAL, EPROTO,
				 "the helper inside the namespace answers %llu bytes",
				 (unsigned long long)len);
	if (!len)
		return 0;
	r = buf_reserve(out, len, err);
	if (r < 0)
		return r;
	for (end = out->len + len; out->len < end;) {
		ssize_t n = read(from, out->data + out->len, end - out->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, ERROR_INTERNAL, EPROTO,
					 "the helper inside the namespace died while it answered");
		out->len += n;
	}
	out->data[out->len] = '\0';
	return 0;
}

/* Reads the answer; what it says becomes ours. */
static int take_answer(int from, struct buf *out, int *ret_fd, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct answer answer;
	int r;

	r = receive_answer(from, &answer, &fd, err);
	if (r == 0)
		r = receive_bytes(from, answer.len, out, err);
	if (r < 0)
		return r;
	if (answer.r < 0) {
		if (err)
			*err = answer.err;
		return answer.r;
	}
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return answer.r;
}

int ns_call(const int ns_fds[NS_KINDS], ns_call_fn *fn, void *arg, struct buf *out, int *ret_fd,
	    struct error *err)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	struct call call = { ns_fds, fn, arg, -1 };
	pid_t parent = getpid(), pid;
	size_t before = out ? out->len : 0;
	int ends[2], r;

	if (ret_fd)
		*ret_fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	ours = ends[0];
	theirs = call.reply = ends[1];
	pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "cannot fork a helper");
	if (pid == 0) {
		close(ours);
		child(&call, parent);
		_exit(1);
	}
	close(TAKE_FD(theirs));
	r = take_answer(ours, out, ret_fd, err);
	if (r < 0 && out && out->data)
		out->len = before;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

int ns_call_in(int proc_fd, unsigned int kinds, ns_call_fn *fn, void *arg, struct buf *out,
	       int *ret_fd, struct error *err)
{
	int fds[NS_KINDS], r = 0;

	for (int i = 0; i < NS_KINDS; i++)
		fds[i] = -1;
	for (int i = 0; r == 0 && i < NS_KINDS; i++)
		if (kinds & 1u << i)
			r = ns_open(proc_fd, i, &fds[i], err);
	if (r == 0)
		r = ns_call(fds, fn, arg, out, ret_fd, err);
	for (int i = 0; i < NS_KINDS; i++)
		cleanup_close(&fds[i]);
	return r;
}

struct socket_arg {
	int domain, type, protocol;
};

static int make_socket(void *arg, struct buf *out, int *fd, struct error *err)
{
	const struct socket_arg *s = arg;

	*fd = socket(s->domain, s->type | SOCK_CLOEXEC, s->protocol);
	if (*fd < 0)
		return error_errno(err, errno,
				   "cannot make a socket (family %d, type %d) in a namespace",
				   s->domain, s->type);
	return 0;
}

int ns_socket(int net_ns_fd, int domain, int type, int protocol, int *ret_fd, struct error *err)
{
	struct socket_arg arg = { domain, type, protocol };
	int fds[NS_KINDS];

	for (int i = 0; i < NS_KINDS; i++)
		fds[i] = i == NS_NET ? net_ns_fd : -1;
	return ns_call(fds, make_socket, &arg, NULL, ret_fd, err);
}
