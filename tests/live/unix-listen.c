// SPDX-License-Identifier: Apache-2.0
/* Listening unix sockets (path and abstract), an accepted connection, a bound datagram socket. */
#include "subject.h"

#include <stddef.h>
#include <sys/un.h>

static socklen_t address(struct sockaddr_un *sun, const char *name, bool abstract)
{
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	snprintf(sun->sun_path + abstract, sizeof(sun->sun_path) - 1, "%s", name);
	return offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name) + !abstract;
}

static int listener(const char *name, bool abstract)
{
	struct sockaddr_un sun;
	socklen_t len = address(&sun, name, abstract);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0 && bind(fd, (void *)&sun, len) == 0 && listen(fd, 5) == 0);
	return fd;
}

static int client(const char *name, bool abstract)
{
	struct sockaddr_un sun;
	socklen_t len = address(&sun, name, abstract);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0 && connect(fd, (void *)&sun, len) == 0);
	return fd;
}

int main(int argc, char **argv)
{
	char abstract[64], buf[32];
	char *path, *dgram_path;
	struct sockaddr_un sun;
	int by_path, by_name, c, s, c2, s2, dg, out;
	socklen_t len;

	subject_init(argc, argv);
	path = subject_path("sock");
	dgram_path = subject_path("dgram");
	unlink(path);
	unlink(dgram_path);
	snprintf(abstract, sizeof(abstract), "amber-subject-%d", getpid());
	by_path = listener(path, false);
	by_name = listener(abstract, true);
	c = client(path, false);
	s = accept(by_path, NULL, NULL);
	CHECK(s >= 0 && send(c, "to server", 9, 0) == 9 && send(s, "to client", 9, 0) == 9);
	dg = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	len = address(&sun, dgram_path, false);
	CHECK(bind(dg, (void *)&sun, len) == 0);
	out = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(connect(out, (void *)&sun, len) == 0 && send(out, "dgram", 5, 0) == 5);

	subject_ready();
	subject_wait();

	CHECK(recv(s, buf, sizeof(buf), 0) == 9 && memcmp(buf, "to server", 9) == 0);
	CHECK(recv(c, buf, sizeof(buf), 0) == 9 && memcmp(buf, "to client", 9) == 0);
	CHECK(recv(dg, buf, sizeof(buf), 0) == 5);
	CHECK(send(out, "more", 4, 0) == 4 && recv(dg, buf, sizeof(buf), 0) == 4);
	c2 = client(path, false);
	s2 = accept(by_path, NULL, NULL);
	CHECK(s2 >= 0 && send(c2, "x", 1, 0) == 1 && recv(s2, buf, 1, 0) == 1);
	c2 = client(abstract, true);
	s2 = accept(by_name, NULL, NULL);
	CHECK(s2 >= 0 && send(c2, "x", 1, 0) == 1 && recv(s2, buf, 1, 0) == 1);
	len = sizeof(sun);
	CHECK(getsockname(s, (void *)&sun, &len) == 0 && strcmp(sun.sun_path, path) == 0);
	CHECK(unlink(path) == 0 && unlink(dgram_path) == 0);
	subject_pass();
}
