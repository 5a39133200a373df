// SPDX-License-Identifier: Apache-2.0
/* A thread streams numbers to another over loopback TCP all the time; none may be lost or doubled.
 */
#include "subject.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

static int listener, client, server;
static volatile uint64_t sent, received;

static void *sender(void *arg)
{
	(void)arg;
	for (uint64_t n = 0; !subject_told(); n++) {
		size_t done = 0;

		while (done < sizeof(n)) {
			ssize_t w = send(client, (char *)&n + done, sizeof(n) - done, MSG_NOSIGNAL);

			CHECK(w > 0);
			done += w;
		}
		sent = n + 1;
		if (n % 512 == 0)
			subject_sleep_ms(1);
	}
	shutdown(client, SHUT_WR);
	return NULL;
}

static void *receiver(void *arg)
{
	uint64_t n;

	(void)arg;
	for (;;) {
		ssize_t r = recv(server, &n, sizeof(n), MSG_WAITALL);

		if (r == 0)
			return NULL;
		CHECK(r == sizeof(n));
		CHECK(n == received);
		received = n + 1;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	pthread_t s, r;

	subject_init(argc, argv);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(listener, (void *)&addr, len) == 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (void *)&addr, &len) == 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(client, (void *)&addr, len) == 0);
	server = accept(listener, NULL, NULL);
	CHECK(server >= 0);
	CHECK(pthread_create(&r, NULL, receiver, NULL) == 0);
	CHECK(pthread_create(&s, NULL, sender, NULL) == 0);
	subject_sleep_ms(20);

	subject_ready();
	subject_wait();

	CHECK(pthread_join(s, NULL) == 0 && pthread_join(r, NULL) == 0);
	CHECK(sent == received && sent > 0);
	subject_pass();
}
