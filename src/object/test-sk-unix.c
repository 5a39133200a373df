// SPDX-License-Identifier: Apache-2.0
/* Unix sockets: pairs, listeners, names, queues, descriptors in flight. */
#include "object/test-socket.h"

#include <sys/stat.h>
#include <sys/un.h>

#include "object/sk-unix.h"

#define DIR_NAME "/tmp/amber-test-sk-unix"

static int tell(struct stage_told *t, int fd)
{
	t->fds[t->n++] = fd;
	return fd;
}

static socklen_t name_make(struct sockaddr_un *un, const char *name)
{
	size_t len = strlen(name + 1) + 1;

	memset(un, 0, sizeof(*un));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, name, len + 1);
	return offsetof(struct sockaddr_un, sun_path) + len + (name[0] ? 1 : 0);
}

static int named(int type, const char *name)
{
	struct sockaddr_un un;
	socklen_t len = name_make(&un, name);
	int fd = socket(AF_UNIX, type, 0);

	if (fd < 0 || bind(fd, (void *)&un, len) < 0)
		_exit(2);
	return fd;
}

static int joined(int type, const char *name)
{
	struct sockaddr_un un;
	socklen_t len = name_make(&un, name);
	int fd = socket(AF_UNIX, type, 0);

	if (fd < 0 || connect(fd, (void *)&un, len) < 0)
		_exit(3);
	return fd;
}

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(4);
}

static void get(int fd, const char *text)
{
	char buf[256] = "";
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n != (ssize_t)strlen(text) || strcmp(buf, text) != 0)
		fprintf(stderr, "wanted '%s', got '%s' (%zd, errno %d)\n", text, buf, n, errno);
	CHECK(n == (ssize_t)strlen(text) && strcmp(buf, text) == 0);
}

static bool has_name(int fd, bool peer, const char *name)
{
	struct sockaddr_un un, want;
	socklen_t len = sizeof(un),
		  want_len = name ? name_make(&want, name) : offsetof(struct sockaddr_un, sun_path);

	if ((peer ? getpeername : getsockname)(fd, (void *)&un, &len) < 0 || len != want_len)
		return false;
	return !name || memcmp(&un, &want, len) == 0;
}

static void send_fd(int fd, const char *text, int what)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { (void *)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &what, sizeof(int));
	if (sendmsg(fd, &msg, 0) < 0)
		_exit(5);
}

static int get_fd(int fd, const char *text)
{
	char control[CMSG_SPACE(sizeof(int))] = "", buf[64] = "";
	struct iovec iov = { buf, sizeof(buf) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int got = -1;

	CHECK(recvmsg(fd, &msg, 0) == (ssize_t)strlen(text) && strcmp(buf, text) == 0);
	CHECK(CMSG_FIRSTHDR(&msg));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return got;
}

/* --- pairs of all types, with queues */

static void pairs_subject(struct stage_told *t)
{
	int a[2], b[2], c[2], d[2], one = 1, off = 3;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) || socketpair(AF_UNIX, SOCK_DGRAM, 0, b) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, c) || socketpair(AF_UNIX, SOCK_STREAM, 0, d))
		_exit(1);
	tell(t, a[0]), tell(t, a[1]), tell(t, b[0]), tell(t, b[1]);
	tell(t, c[0]), tell(t, c[1]), tell(t, d[0]);
	put(a[0], "stream ");
	put(a[0], "data");
	put(b[0], "first");
	put(b[0], "second");
	put(c[0], "packet one");
	put(c[0], "packet two");
	send_fd(c[0], "with a gift", d[0]);
	put(d[1], "farewell");
	close(d[1]);
	setsockopt(a[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one));
	setsockopt(a[1], SOL_SOCKET, SO_PEEK_OFF, &off, sizeof(off));
	shutdown(c[1], SHUT_WR);
}

static void pairs_check(struct copy *c)
{
	struct stat x, y;
	char buf[16];
	int gift, one = 0;
	socklen_t len = sizeof(one);

	CHECK(getsockopt(copy_fd(c, 1), SOL_SOCKET, SO_PASSCRED, &one, &len) == 0 && one == 1);
	get(copy_fd(c, 1), "stream data");
	get(copy_fd(c, 3), "first");
	get(copy_fd(c, 3), "second");
	get(copy_fd(c, 5), "packet one");
	get(copy_fd(c, 5), "packet two");
	gift = get_fd(copy_fd(c, 5), "with a gift");
	CHECK(fstat(gift, &x) == 0 && fstat(copy_fd(c, 6), &y) == 0 && x.st_ino == y.st_ino);
	get(copy_fd(c, 6), "farewell");
	CHECK(read(copy_fd(c, 6), buf, 1) == 0);
	CHECK(write(copy_fd(c, 5), "x", 1) < 0 && errno == EPIPE);
	put(copy_fd(c, 0), "more");
	get(copy_fd(c, 1), "more");
	put(copy_fd(c, 1), "back");
	get(copy_fd(c, 0), "back");
}

static void pairs_are_restored(void **state)
{
	struct stage s;
	int dup, off, i;

	signal(SIGPIPE, SIG_IGN);
	stage_subject(&s, pairs_subject);
	for (i = 0; i < 3; i++) { /* capturing changes nothing */
		stage_capture(&s);
		assert_int_equal(s.gaps.n, 1);
		assert_true(stage_has_gap(&s, "SO_PEEK_OFF=3"));
		assert_int_equal(pidfd_take_fd(s.task.pidfd, s.told->fds[1], &dup, &s.err), 0);
		off = sock_int(dup, SOL_SOCKET, SO_PEEK_OFF, -7);
		close(dup);
		assert_int_equal(off, 3);
		assert_int_equal(stage_copy(&s, 7, false, pairs_check), 0);
		stage_capture_end(&s);
	}
	stage_end(&s);
}

/* --- a server with clients: names, accepted ones, deleted files, relative paths */

static void server_subject(struct stage_told *t)
{
	int l, m, r, waiting;

	mkdir(DIR_NAME, 0755);
	if (chdir(DIR_NAME) < 0)
		_exit(1);
	unlink("srv"), unlink("old"), unlink("rel"), unlink("client");
	l = tell(t, named(SOCK_STREAM, DIR_NAME "/srv"));
	chmod("srv", 0600);
	listen(l, 9);
	tell(t, joined(SOCK_STREAM, DIR_NAME "/srv"));	     /* 1 */
	tell(t, accept(l, NULL, NULL));			     /* 2 */
	m = tell(t, named(SOCK_SEQPACKET, DIR_NAME "/old")); /* 3 */
	listen(m, 9);
	tell(t, joined(SOCK_SEQPACKET, DIR_NAME "/old")); /* 4 */
	tell(t, accept(m, NULL, NULL));			  /* 5 */
	unlink(DIR_NAME "/old");
	r = tell(t, named(SOCK_DGRAM, "rel")); /* 6 */
	tell(t, joined(SOCK_DGRAM, "rel"));    /* 7 */
	put(t->fds[7], "to rel");
	tell(t, named(SOCK_STREAM, "\0abstract")); /* 8 */
	listen(t->fds[8], 3);
	tell(t, joined(SOCK_STREAM, "\0abstract")); /* 9 */
	tell(t, accept(t->fds[8], NULL, NULL));	    /* 10 */
	close(t->fds[8]);			    /* the listener is gone */
	t->fds[8] = t->fds[10];
	t->n = 10;
	put(t->fds[9], "abstract talk");
	waiting = tell(t, joined(SOCK_STREAM, DIR_NAME "/srv")); /* 10: not accepted */
	(void)waiting, (void)r;
	put(t->fds[2], "welcome");
	put(t->fds[5], "old welcome");
}

static void server_check(struct copy *c)
{
	struct stat st;
	int fd;

	CHECK(has_name(copy_fd(c, 0), false, DIR_NAME "/srv"));
	CHECK(has_name(copy_fd(c, 1), true, DIR_NAME "/srv"));
	CHECK(has_name(copy_fd(c, 1), false, NULL));
	CHECK(has_name(copy_fd(c, 2), false, DIR_NAME "/srv"));
	CHECK(has_name(copy_fd(c, 5), false, DIR_NAME "/old"));
	CHECK(has_name(copy_fd(c, 4), true, DIR_NAME "/old"));
	CHECK(has_name(copy_fd(c, 6), false, "rel"));
	CHECK(has_name(copy_fd(c, 8), false, "\0abstract"));
	CHECK(stat(DIR_NAME "/srv", &st) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(stat(DIR_NAME "/old", &st) < 0 && errno == ENOENT);
	get(copy_fd(c, 1), "welcome");
	get(copy_fd(c, 4), "old welcome");
	get(copy_fd(c, 6), "to rel");
	put(copy_fd(c, 7), "again");
	get(copy_fd(c, 6), "again");
	get(copy_fd(c, 8), "abstract talk");
	/* The one that waits is accepted, and so is a new one. */
	fd = accept(copy_fd(c, 0), NULL, NULL);
	CHECK(fd >= 0);
	put(copy_fd(c, 10), "at last");
	get(fd, "at last");
	joined(SOCK_STREAM, DIR_NAME "/srv");
	CHECK(accept(copy_fd(c, 0), NULL, NULL) >= 0);
}

static void server_is_restored(void **state)
{
	struct stage s;

	stage_subject(&s, server_subject);
	stage_capture(&s);
	assert_int_equal(s.gaps.n, 0);
	assert_string_equal(stage_entry(&s, 6)->usk->name_dir, DIR_NAME);
	assert_true(stage_entry(&s, 3)->usk->deleted);
	assert_int_equal(stage_copy(&s, 7, false, server_check), 0);
	assert_int_equal(stage_copy(&s, 7, false, server_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
	(void)unlink(DIR_NAME "/srv");
	(void)unlink(DIR_NAME "/rel");
	(void)rmdir(DIR_NAME);
}

/* --- the other end is outside */

static void outside_subject(struct stage_told *t)
{
	int a[2], d;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a))
		_exit(1);
	tell(t, a[0]); /* a[1] is not told */
	put(a[1], "from outside");
	(void)named(SOCK_DGRAM, "\0log");
	d = tell(t, joined(SOCK_DGRAM, "\0log"));
	put(d, "a line");
}

static void outside_check(struct copy *c)
{
	char buf[8];

	get(copy_fd(c, 0), "from outside");
	put(copy_fd(c, 0), "hello?");
	CHECK(recv(copy_fd(c, 0), buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	put(copy_fd(c, 1), "another line");
}

static void outside_is_silent(void **state)
{
	struct stage s;

	stage_subject(&s, outside_subject);
	stage_capture(&s);
	assert_int_equal(s.gaps.n, 2);
	assert_true(stage_has_gap(&s, "outside of the container"));
	assert_int_equal(image_find(&s.set, IMAGE_FILES, 0)->n_entries, 4);
	assert_int_equal(stage_copy(&s, 7, false, outside_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_restored),
		cmocka_unit_test(server_is_restored),
		cmocka_unit_test(outside_is_silent),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
