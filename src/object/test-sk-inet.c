// SPDX-License-Identifier: Apache-2.0
/* Internet sockets: captured from a live process without a trace, and brought back elsewhere. */
#include "object/test-socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>

#include "object/tcp-guard.h"

static struct sockaddr_in in4(const char *addr, int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, addr, &sin.sin_addr);
	return sin;
}

static int tell(struct stage_told *t, int fd)
{
	t->fds[t->n++] = fd;
	return fd;
}

static int tcp_listener(int port)
{
	struct sockaddr_in sin = in4("127.0.0.1", port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (void *)&sin, sizeof(sin)) < 0 || listen(fd, 77) < 0)
		_exit(2);
	return fd;
}

static int tcp_client(int port)
{
	struct sockaddr_in sin = in4("127.0.0.1", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (void *)&sin, sizeof(sin)) < 0)
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
	size_t have = 0;

	while (have < strlen(text)) {
		ssize_t n = read(fd, buf + have, strlen(text) - have);

		CHECK(n > 0);
		have += n;
	}
	CHECK(memcmp(buf, text, strlen(text)) == 0);
}

/* --- both ends inside: queues in both directions, a listener on the same port */

static void pair_subject(struct stage_told *t)
{
	int one = 1, size = 40000, idle = 123;
	int l = tell(t, tcp_listener(7001));
	int a = tell(t, tcp_client(7001));
	int b = tell(t, accept(l, NULL, NULL));

	put(a, "from a to b");
	put(b, "from b to a, longer");
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(a, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	setsockopt(b, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	fcntl(b, F_SETFL, O_NONBLOCK);
	usleep(20000);
}

static void pair_check(struct copy *c)
{
	int l = copy_fd(c, 0), a = copy_fd(c, 1), b = copy_fd(c, 2), d, e, one = 0, idle = 0;
	socklen_t len = sizeof(one);

	CHECK(fcntl(b, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(a, F_GETFL) & O_NONBLOCK));
	CHECK(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, &len) == 0 && one == 1);
	CHECK(getsockopt(a, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len) == 0 && idle == 123);
	CHECK(getsockopt(b, SOL_SOCKET, SO_RCVBUF, &idle, &len) == 0 && idle == 80000);
	CHECK(getsockopt(l, SOL_SOCKET, SO_REUSEADDR, &idle, &len) == 0 && idle == 1);
	CHECK(getsockopt(a, SOL_SOCKET, SO_REUSEADDR, &idle, &len) == 0 && idle == 0);
	fcntl(b, F_SETFL, 0);
	get(b, "from a to b");
	get(a, "from b to a, longer");
	put(a, "new words");
	get(b, "new words");
	put(b, "and back");
	get(a, "and back");
	/* The listener takes new ones. */
	d = tcp_client(7001);
	e = accept(l, NULL, NULL);
	CHECK(e >= 0);
	put(d, "fresh");
	get(e, "fresh");
	/* An orderly end arrives. */
	shutdown(a, SHUT_WR);
	CHECK(read(b, &one, 1) == 0);
}

static void pair_is_restored(void **state)
{
	struct stage s;

	stage_subject(&s, pair_subject);
	stage_capture(&s);
	assert_int_equal(stage_entry(&s, 0)->isk->state, TCP_LISTEN);
	assert_int_equal(stage_entry(&s, 0)->isk->backlog, 77);
	assert_int_equal(stage_entry(&s, 1)->isk->state, TCP_ESTABLISHED);
	assert_int_equal(stage_entry(&s, 1)->isk->dst_port, 7001);
	stage_print_gaps(&s);
	assert_int_equal(s.gaps.n, 0);
	assert_int_equal(stage_copy(&s, 7, false, pair_check), 0);
	assert_int_equal(stage_copy(&s, 0, false, pair_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- one end outside: silence, or a reset */

static void half_subject(struct stage_told *t)
{
	int l = tcp_listener(7002);
	int a = tell(t, tcp_client(7002));
	int b = accept(l, NULL, NULL); /* not told: not of the container */

	put(b, "hello");
	put(a, "unheard");
	usleep(20000);
}

static void half_check(struct copy *c)
{
	int a = copy_fd(c, 0);
	char buf[16];

	get(a, "hello");
	put(a, "is anybody there?");
	usleep(300000);
	CHECK(recv(a, buf, sizeof(buf), MSG_DONTWAIT) < 0 && errno == EAGAIN);
	put(a, "still not");
}

static void reset_check(struct copy *c)
{
	char buf[16];

	CHECK(read(copy_fd(c, 0), buf, sizeof(buf)) < 0 && errno == ECONNRESET);
}

static void far_end_is_silent_or_reset(void **state)
{
	struct stage s;

	stage_subject(&s, half_subject);
	stage_capture(&s);
	assert_int_equal(stage_copy(&s, 0, false, half_check), 0);
	assert_int_equal(stage_copy(&s, 0, true, reset_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- half-closed states */

static void closing_subject(struct stage_told *t)
{
	int l = tcp_listener(7003);
	int a = tell(t, tcp_client(7003));
	int b _unused_ = tell(t, accept(l, NULL, NULL));
	int c = tell(t, tcp_client(7003)), d = tell(t, accept(l, NULL, NULL));

	put(a, "last words");
	shutdown(a, SHUT_WR); /* a: FIN_WAIT2, b: CLOSE_WAIT */
	shutdown(c, SHUT_WR);
	usleep(200000);
	shutdown(d, SHUT_WR); /* both closed */
	usleep(200000);
}

static void closing_check(struct copy *c)
{
	int a = copy_fd(c, 0), b = copy_fd(c, 1);
	char buf[16];

	get(b, "last words");
	CHECK(read(b, buf, 1) == 0);
	put(b, "answer");
	get(a, "answer");
	CHECK(write(a, "x", 1) < 0 && errno == EPIPE);
	CHECK(read(copy_fd(c, 2), buf, 1) == 0);
	CHECK(read(copy_fd(c, 3), buf, 1) == 0);
}

static void closing_states_are_restored(void **state)
{
	struct stage s;

	signal(SIGPIPE, SIG_IGN);
	stage_subject(&s, closing_subject);
	stage_capture(&s);
	assert_int_equal(stage_entry(&s, 0)->isk->state, TCP_FIN_WAIT2);
	assert_int_equal(stage_entry(&s, 1)->isk->state, TCP_CLOSE_WAIT);
	assert_int_equal(stage_copy(&s, 7, false, closing_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- the rest of the family */

static void others_subject(struct stage_told *t)
{
	struct sockaddr_in sin = in4("127.0.0.1", 7010), to = in4("127.0.0.1", 7011);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(7012) };
	int u = tell(t, socket(AF_INET, SOCK_DGRAM, 0)), one = 1, tos = 0x10;
	int v = tell(t, socket(AF_INET, SOCK_DGRAM, 0));
	int w = tell(t, socket(AF_INET6, SOCK_STREAM, 0));
	int x = tell(t, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));

	tell(t, socket(AF_INET, SOCK_STREAM, 0));
	bind(u, (void *)&sin, sizeof(sin));
	bind(v, (void *)&to, sizeof(to));
	connect(u, (void *)&to, sizeof(to));
	setsockopt(u, SOL_IP, IP_TOS, &tos, sizeof(tos));
	setsockopt(u, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one));
	setsockopt(w, SOL_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	bind(w, (void *)&six, sizeof(six));
	listen(w, 5);
	(void)x;
}

static void others_check(struct copy *c)
{
	int u = copy_fd(c, 0), v = copy_fd(c, 1), w = copy_fd(c, 2), value = 0;
	struct sockaddr_in6 six;
	socklen_t len = sizeof(value);

	put(u, "datagram");
	get(v, "datagram");
	CHECK(getsockopt(u, SOL_IP, IP_TOS, &value, &len) == 0 && value == 0x10);
	CHECK(getsockopt(u, SOL_SOCKET, SO_BROADCAST, &value, &len) == 0 && value == 1);
	CHECK(getsockopt(w, SOL_IPV6, IPV6_V6ONLY, &value, &len) == 0 && value == 1);
	CHECK(getsockopt(w, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value == 1);
	len = sizeof(six);
	CHECK(getsockname(w, (void *)&six, &len) == 0 && six.sin6_port == htons(7012));
	CHECK(getsockopt(copy_fd(c, 3), SOL_SOCKET, SO_PROTOCOL, &value, &len) == 0 &&
	      value == IPPROTO_ICMP);
	CHECK(write(copy_fd(c, 4), "x", 1) < 0 && errno == EPIPE);
}

static void other_sockets_are_restored(void **state)
{
	struct stage s;

	signal(SIGPIPE, SIG_IGN);
	stage_subject(&s, others_subject);
	stage_capture(&s);
	assert_int_equal(s.gaps.n, 0);
	assert_int_equal(stage_copy(&s, 7, false, others_check), 0);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- a connection under load, captured a thousand times */

#define PUMP_CAPTURES 1000

static uint32_t noise(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 24;
}

static void pump_write(int fd, volatile int *stop, uint32_t seed, uint64_t *count)
{
	unsigned char buf[3000];

	while (!*stop) {
		uint32_t before = seed;
		size_t i, at = 0;
		ssize_t n;

		for (i = 0; i < sizeof(buf); i++)
			buf[i] = noise(&seed);
		while (at < sizeof(buf)) {
			n = write(fd, buf + at, sizeof(buf) - at);
			if (n <= 0)
				_exit(20 + (n < 0 ? errno % 100 : 0));
			at += n;
		}
		(void)before;
		*count += at;
	}
}

static void pump_read(int fd, uint32_t seed, uint64_t *count)
{
	unsigned char buf[5000];
	ssize_t n, i;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++)
			if (buf[i] != (unsigned char)noise(&seed))
				_exit(10);
		*count += n;
	}
	if (n < 0)
		_exit(11);
}

/* Two processes that nobody stops talk to the subject's two: numbers count bytes. */
static void pump_subject(struct stage_told *t)
{
	int l = tcp_listener(7004);
	int a = tell(t, tcp_client(7004)), b = accept(l, NULL, NULL);
	pid_t writer, reader, helper;

	writer = fork();
	if (writer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pump_write(b, &t->done, 1, &t->numbers[0]);
		shutdown(b, SHUT_WR);
		_exit(0);
	}
	reader = fork();
	if (reader == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(a);
		pump_read(b, 2, &t->numbers[1]);
		_exit(0);
	}
	close(b);
	helper = fork();
	if (helper == 0) { /* writes on a; stopped together with the subject */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pump_write(a, &t->done, 2, &t->numbers[2]);
		shutdown(a, SHUT_WR);
		_exit(0);
	}
	t->numbers[4] = helper;
	t->go = 1;
	pump_read(a, 1, &t->numbers[3]);
	t->numbers[5] = 0;
	while (t->numbers[6] < 3) {
		int status;

		if (wait(&status) < 0)
			break;
		t->numbers[5] += status != 0;
		if (status)
			fprintf(stderr, "a pump ended with %#x\n", status);
		t->numbers[6]++;
	}
	t->numbers[7] = 1;
}

static void helper_wait(pid_t pid, char want)
{
	char path[64], text[256];
	int i;

	for (i = 0; i < 10000; i++) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		f = fopen(path, "r");
		if (f && fgets(text, sizeof(text), f) && strrchr(text, ')')[2] == want) {
			fclose(f);
			return;
		}
		if (f)
			fclose(f);
		usleep(20);
	}
	fail_msg("process %d does not stop", (int)pid);
}

/* Segments sent again in the subject's namespace. */
static unsigned long retransmitted(pid_t pid)
{
	unsigned long v[12] = { 0 };
	char path[64], line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/net/snmp", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tcp: %lu %lu %lu -1 %lu %lu %lu %lu %lu %lu %lu %lu", &v[0],
			   &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9],
			   &v[10]) == 11)
			break;
	if (f)
		fclose(f);
	return v[10];
}

static void busy_connection_is_not_disturbed(void **state)
{
	struct stage s;
	uint64_t unread = 0, unsent = 0;
	int i;

	signal(SIGPIPE, SIG_IGN);
	stage_subject(&s, pump_subject);
	stage_capture_begin(&s);
	for (i = 0; i < PUMP_CAPTURES; i++) {
		const Img__TcpStream *ts;
		const struct image *image;

		stage_stop(&s);
		kill(s.told->numbers[4], SIGSTOP);
		helper_wait(s.told->numbers[4], 'T');
		stage_capture_fds(&s);
		kill(s.told->numbers[4], SIGCONT);
		kill(s.task.pid, SIGCONT);
		image = image_find(&s.set, IMAGE_TCP_STREAM, stage_entry(&s, 0)->isk->ino);
		assert_non_null(image);
		ts = image_message(image, 0);
		assert_int_equal(image->entries[0].extra.len, ts->inq_len + ts->outq_len);
		unread += ts->inq_len;
		unsent += ts->outq_len;
		assert_int_equal(s.gaps.n, 0);
		stage_capture_end(&s);
		stage_capture_begin(&s);
	}
	s.told->done = 1;
	for (i = 0; i < 20000 && !s.told->numbers[7]; i++)
		usleep(1000);
	print_message("%lu + %lu bytes pumped, %lu + %lu in queues, %lu segments sent again\n",
		      (unsigned long)s.told->numbers[1], (unsigned long)s.told->numbers[3],
		      (unsigned long)unread / PUMP_CAPTURES, (unsigned long)unsent / PUMP_CAPTURES,
		      retransmitted(s.task.pid));
	assert_int_equal(s.told->numbers[7], 1);
	assert_int_equal(s.told->numbers[5], 0);
	assert_int_equal(s.told->numbers[0], s.told->numbers[3]);
	assert_int_equal(s.told->numbers[2], s.told->numbers[1]);
	assert_true(s.told->numbers[1] > 100000);
	stage_capture_end(&s);
	stage_end(&s);
}

/* --- amber killed in the worst moment */

static void guard_ends_repair_mode(void **state)
{
	int i, l, a, one = 1;
	pid_t pid;

	l = tcp_listener(17005);
	a = tcp_client(17005);
	setsockopt(a, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	pid = fork();
	if (pid == 0) {
		struct error err = ERROR_INIT;
		struct tcp_guard *guard;

		if (tcp_guard_new(&guard, &err) < 0 || tcp_repair_begin(guard, a) < 0 ||
		    sock_int(a, IPPROTO_TCP, TCP_REPAIR, 0) != 1)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &i, 0), pid);
	assert_true(WIFSIGNALED(i));
	for (i = 0; i < 1000 && sock_int(a, IPPROTO_TCP, TCP_REPAIR, 1) == 1; i++)
		usleep(1000);
	assert_int_equal(sock_int(a, IPPROTO_TCP, TCP_REPAIR, 1), 0);
	usleep(1000);
	assert_int_equal(sock_int(a, SOL_SOCKET, SO_REUSEADDR, 0), 1);
	put(a, "alive");
	close(a);
	close(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pair_is_restored),
		cmocka_unit_test(far_end_is_silent_or_reset),
		cmocka_unit_test(closing_states_are_restored),
		cmocka_unit_test(other_sockets_are_restored),
		cmocka_unit_test(busy_connection_is_not_disturbed),
		cmocka_unit_test(guard_ends_repair_mode),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
