// SPDX-License-Identifier: Apache-2.0
/*
 * subject: the protocol between a subject program and tests/live/run.py. Keeps to plain write(2)
 * and nanosleep(2), so that subjects with seccomp filters or odd signal states can use it too.
 */
#include "subject.h"

static int verdict_fd = -1;
static const char *verdict_path;
static volatile sig_atomic_t told;

static void on_usr1(int sig)
{
	(void)sig;
	told = 1;
}

void subject_say(const char *text)
{
	if (write(verdict_fd, text, strlen(text)) < 0)
		_exit(3);
}

void subject_init(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	if (argc < 2) {
		fprintf(stderr, "usage: %s VERDICT-FILE\n", argv[0]);
		exit(2);
	}
	verdict_path = argv[1];
	verdict_fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (verdict_fd < 0) {
		perror(argv[1]);
		exit(2);
	}
	sigaction(SIGUSR1, &sa, NULL);
}

void subject_ready(void)
{
	subject_say("READY\n");
}

bool subject_told(void)
{
	return told;
}

void subject_wait(void)
{
	struct timespec step = { .tv_nsec = 5000000 };

	while (!told)
		nanosleep(&step, NULL);
}

void subject_pass(void)
{
	subject_say("PASS\n");
	_exit(0);
}

void subject_fail(const char *file, int line, const char *text)
{
	char out[4096];
	int e = errno;

	snprintf(out, sizeof(out), "FAIL: %s:%d: %s (errno %d, %s)\n", file, line, text, e,
		 strerror(e));
	subject_say(out);
	_exit(1);
}

void subject_sleep_ms(long ms)
{
	struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

char *subject_path(const char *name)
{
	char *path = NULL;

	CHECK(asprintf(&path, "%s.%s", verdict_path, name) > 0);
	return path;
}
