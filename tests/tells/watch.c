// SPDX-License-Identifier: Apache-2.0
/*
 * watch: sits in a container and notes everything that it can see of itself, all the time.
 *
 * usage: watch. It makes /tells/data, starts its family (family.h) and writes /tells/ready. The
 * file /tells/window-N, made by the runner, begins window N; window-4 ends it: what was seen goes
 * to /tells/report.json. It runs without privileges, makes no difference between a checkpoint and
 * anything else, and judges nothing.
 *
 * Two threads look: one as fast as it can at what lasts for microseconds (it is also the one that
 * watches the clocks), one at everything.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "family.h"
#include "look.h"
#include "note.h"
#include "own.h"

#define SWEEP_PAUSE_US 4000

struct clocks {
	long gap_ns, gap_real_ns, step_ns, turns; /* the longest of a window */
	uint64_t gap_tsc;
};

struct watch {
	struct shared *shared;
	pid_t pids[MEMBERS];
	struct own *own;
	struct notebook *quick, *sweep, *ends;
	struct clocks clocks[WINDOWS];
	int n_blocked;
};

static long now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static uint64_t cycles(void)
{
#ifdef __x86_64__
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

static void raise_to(long *most, long value)
{
	if (value > *most)
		*most = value;
}

struct instant {
	long mono, real;
	uint64_t tsc;
};

static void tick(struct clocks *c, struct instant *last)
{
	struct instant now = { now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_REALTIME), cycles() };

	raise_to(&c->gap_ns, now.mono - last->mono);
	raise_to(&c->gap_real_ns, now.real - last->real);
	raise_to(&c->step_ns, labs((now.real - last->real) - (now.mono - last->mono)));
	if (now.tsc - last->tsc > c->gap_tsc)
		c->gap_tsc = now.tsc - last->tsc;
	c->turns++;
	*last = now;
}

static void *run_quick(void *arg)
{
	struct watch *w = arg;
	struct instant last;
	int i, window;

	prctl(PR_SET_NAME, "quick");
	last = (struct instant){ now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_REALTIME), cycles() };
	while (!atomic_load(&w->shared->over)) {
		for (i = 0; i < MEMBERS; i++) {
			window = atomic_load(&w->shared->window);
			look_closely(w->quick, window, w->pids[i], member_names[i]);
			tick(&w->clocks[window], &last);
		}
	}
	return NULL;
}

static void *run_sweep(void *arg)
{
	struct watch *w = arg;
	int i, window;

	prctl(PR_SET_NAME, "sweep");
	while (!atomic_load(&w->shared->over)) {
		window = atomic_load(&w->shared->window);
		own_look(w->own, w->sweep, window);
		for (i = 0; i < MEMBERS; i++) {
			look_process(w->sweep, window, w->pids[i], member_names[i]);
			look_threads(w->sweep, window, w->pids[i], member_names[i]);
		}
		look_process(w->sweep, window, getpid(), "watch");
		look_threads(w->sweep, window, getpid(), "watch");
		look_names(w->sweep, window, DATA, "names" DATA);
		look_names(w->sweep, window, "/", "names/");
		look_names(w->sweep, window, "/tmp", "names/tmp");
		look_names(w->sweep, window, "/dev/shm", "names/dev/shm");
		look_around(w->sweep, window);
		usleep(SWEEP_PAUSE_US);
	}
	return NULL;
}

static void note_counts(struct watch *w)
{
	struct shared *s = w->shared;
	int i, n;

	for (i = 0; i < WINDOWS; i++) {
		const struct clocks *c = &w->clocks[i];

		note_number(w->ends, i, c->gap_ns / 1000, "clock/monotonic_gap_us");
		note_number(w->ends, i, c->gap_real_ns / 1000, "clock/realtime_gap_us");
		note_number(w->ends, i, c->gap_tsc / 1000, "clock/tsc_gap_kcycles");
		note_number(w->ends, i, c->step_ns / 1000, "clock/step_us");
		note_number(w->ends, i, c->turns, "clock/looks");
		note_number(w->ends, i, s->trapped[i], "seccomp/trapped");
		note_number(w->ends, i, s->writes[i], "memory/writes");
		note_number(w->ends, i, s->slow_writes[i], "memory/slow_writes");
		note_number(w->ends, i, s->write_max_ns[i] / 1000, "memory/write_max_us");
		note_number(w->ends, i, s->wrong[i], "memory/wrong");
		for (n = 1; n < 65; n++)
			note_number(w->ends, i, s->signals[i][n], "signal/%d", n);
		for (n = 0; n < w->n_blocked; n++) {
			const struct blocked_count *b = &s->blocked[n];

			note_number(w->ends, i, b->ended[i], "call/%s/ended", b->name);
			note_number(w->ends, i, b->early[i], "call/%s/early", b->name);
			note_number(w->ends, i, b->late_us[i], "call/%s/late_us", b->name);
		}
	}
}

static void await(const char *format, int n)
{
	char path[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(path, sizeof(path), format, n);
#pragma GCC diagnostic pop
	while (access(path, F_OK) != 0)
		usleep(2000);
}

static void report(struct watch *w)
{
	FILE *out = fopen("/tells/report.json.new", "w");
	int i;

	if (!out)
		abort();
	fprintf(out, "{");
	notebook_write(w->quick, out);
	fprintf(out, "\"/\": null}\n{");
	notebook_write(w->sweep, out);
	fprintf(out, "\"/\": null}\n{");
	notebook_write(w->ends, out);
	for (i = 0; i < w->n_blocked; i++)
		fprintf(out, "\"error/%s\": %d,\n", w->shared->blocked[i].name,
			w->shared->blocked[i].error);
	fprintf(out, "\"error/trapped\": %d}\n", w->shared->trapped_nr);
	fclose(out);
	rename("/tells/report.json.new", "/tells/report.json");
}

int main(void)
{
	struct watch w = { .quick = notebook_new(),
			   .sweep = notebook_new(),
			   .ends = notebook_new() };
	pthread_t quick, sweep;
	int window;

	w.shared = mmap(NULL, sizeof(*w.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (w.shared == MAP_FAILED)
		return 1;
	family_files();
	family_count_signals(w.shared);
	family_start(w.shared, w.pids);
	w.own = own_new();
	w.n_blocked = blocked_start(w.shared->blocked, &w.shared->window);
	usleep(200000);
	if (pthread_create(&quick, NULL, run_quick, &w) ||
	    pthread_create(&sweep, NULL, run_sweep, &w))
		return 1;
	own_pid(w.ends, 0); /* after the last thread: those take numbers, too */
	close(open("/tells/ready", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	for (window = 1; window <= WINDOWS; window++) {
		await("/tells/window-%d", window);
		own_pid(w.ends, window - 1);
		if (window < WINDOWS) {
			own_pid(w.ends, window);
			atomic_store(&w.shared->window, window);
		}
	}
	atomic_store(&w.shared->over, 1);
	pthread_join(quick, NULL);
	pthread_join(sweep, NULL);
	note_counts(&w);
	report(&w);
	pause();
	return 0;
}
