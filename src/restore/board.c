// SPDX-License-Identifier: Apache-2.0
/*
 * board: the memory that all processes of a restore share, and how they wait for each other with
 * it.
 *
 * Futexes only: newborn tasks have no other way of talking that survives the change of namespaces
 * and descriptors.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "restore/run.h"

static void futex_wait(const uint32_t *word, uint32_t value, int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, ms < 0 ? NULL : &ts, NULL, 0);
}

static void futex_wake(const uint32_t *word)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int board_new(const struct restore *rst, struct board **ret, struct error *err)
{
	size_t files = (rst->n_files + 15) & ~(size_t)15;
	size_t size = PAGE_ALIGN_UP(sizeof(struct board) + files +
				    rst->n_tasks * sizeof(struct board_slot) + 16);
	struct board *board;

	board = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		return error_errno(err, errno, "allocating %zu bytes of shared memory", size);
	board->size = size;
	board->slots = (struct board_slot *)(board + 1);
	board->file_open = (uint8_t *)(board->slots + rst->n_tasks);
	*ret = board;
	return 0;
}

void board_free(struct board *board)
{
	if (board)
		(void)munmap(board, board->size);
}

int board_reach(struct board *board, enum stage stage, size_t task)
{
	uint32_t open;

	__atomic_store_n(&board->slots[task].stage, (uint32_t)stage + 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&board->arrived[stage], 1, __ATOMIC_ACQ_REL);
	futex_wake(&board->arrived[stage]);

	while ((open = __atomic_load_n(&board->open, __ATOMIC_ACQUIRE)) <= (uint32_t)stage) {
		if (__atomic_load_n(&board->shared.error_ready, __ATOMIC_ACQUIRE))
			return -ECANCELED;
		futex_wait(&board->open, open, 1000);
	}
	return 0;
}

int board_wait(struct board *board, enum stage stage, uint32_t n, int ms, struct error *err)
{
	uint64_t end = clock_ns() + (uint64_t)ms * 1000000U;
	uint32_t arrived;
	int r;

	while ((arrived = __atomic_load_n(&board->arrived[stage], __ATOMIC_ACQUIRE)) < n) {
		r = restore_shared_error(&board->shared, err);
		if (r < 0)
			return r;
		if (clock_ns() >= end)
			return -EAGAIN;
		futex_wait(&board->arrived[stage], arrived, 20);
	}
	return restore_shared_error(&board->shared, err);
}

void board_open(struct board *board, enum stage stage)
{
	__atomic_store_n(&board->open, (uint32_t)stage + 1, __ATOMIC_RELEASE);
	futex_wake(&board->open);
}

void board_flag_raise(uint32_t *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
	futex_wake(flag);
}

void board_flag_wait(const uint32_t *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		futex_wait(flag, 0, 1000);
}
