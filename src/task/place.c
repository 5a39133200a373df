// SPDX-License-Identifier: Apache-2.0
/*
 * place: see place.h.
 */
#include "task/place.h"

#include <fcntl.h>
#include <string.h>

#include "kernel/process-vm.h"
#include "task/arch.h"

#define GAP_MARGIN   ((uint64_t)1 << 21)
#define FAR_MARGIN   ((uint64_t)64 << 10) /* between a stack pointer and what is far from it */
#define FAR_MAX	     ((size_t)32 << 10)
#define PAGE_TOUCHED (3ULL << 62) /* present or swapped, in /proc/<pid>/pagemap */

/* The middle of the largest hole. */
uint64_t place_in_hole(const struct proc_maps *maps, size_t size)
{
	uint64_t end = ARCH_TASK_MIN, start = 0, length = 0;

	for (size_t i = 0; i <= maps->n_vmas; i++) {
		uint64_t next =
			i < maps->n_vmas ? MIN(maps->vmas[i].start, ARCH_TASK_MAX) : ARCH_TASK_MAX;

		if (next > end && next - end > length) {
			start = end;
			length = next - end;
		}
		if (i < maps->n_vmas)
			end = MAX(end, maps->vmas[i].end);
	}
	if (length < size + 2 * GAP_MARGIN)
		return 0;
	return (start + (length - size) / 2) & ~(AMBER_PAGE_SIZE - 1);
}

/*
 * Is what lies below this thread's stack pointer surely dead? So it is on the main thread's stack,
 * and on one that a thread library made: its guard is below it, the thread's TLS above. Elsewhere
 * (goroutines, coroutines) another object may begin right there.
 */
static bool dead_below(const struct thread *thread, const struct proc_maps *maps, size_t room)
{
	uint64_t sp = arch_sp(&thread->regs), tls = arch_tls(&thread->regs);
	const struct proc_vma *vma = proc_maps_find(maps, sp - 1), *guard;

	if (!vma || vma->shared || !(vma->prot & PROT_WRITE) || sp - vma->start < room)
		return false;
	if (vma->kind == PROC_VMA_STACK)
		return true;
	if (vma->kind != PROC_VMA_ANON || vma == maps->vmas || tls < sp || tls >= vma->end)
		return false;
	guard = vma - 1;
	return guard->end == vma->start && !guard->prot;
}

/* Zeros, as never written: a page that is there is read, one that is not is left so. */
static bool holds_nothing(const struct task *task, uint64_t start, size_t len)
{
	static const unsigned char zeros[AMBER_PAGE_SIZE];
	_cleanup_close_ int fd = openat(task->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	unsigned char page[AMBER_PAGE_SIZE];
	uint64_t entry;

	for (uint64_t at = start; at < start + len; at += AMBER_PAGE_SIZE) {
		if (pread(fd, &entry, sizeof(entry), (off_t)(at / AMBER_PAGE_SIZE * 8)) !=
		    sizeof(entry))
			return false;
		if (entry & PAGE_TOUCHED &&
		    (process_vm_read(task->pid, at, page, sizeof(page), NULL) < 0 ||
		     memcmp(page, zeros, sizeof(page))))
			return false;
	}
	return true;
}

/* A way home that was taken stays where it was: it may be used again. */
static bool left_by_us(const struct task *task, uint64_t end)
{
	unsigned char mark[sizeof(arch_way_home_mark)];

	return process_vm_read(task->pid, end - sizeof(mark), mark, sizeof(mark), NULL) == 0 &&
	       !memcmp(mark, arch_way_home_mark, sizeof(mark));
}

/* Programs with stacks of their own leave the main stack alone: its far end has never been reached.
 */
static uint64_t far_end(const struct task *task, const struct proc_maps *maps, size_t room)
{
	const struct proc_vma *vma = maps->vmas;
	struct thread *thread;

	while (vma < maps->vmas + maps->n_vmas && vma->kind != PROC_VMA_STACK)
		vma++;
	room = PAGE_ALIGN_UP(room);
	if (vma == maps->vmas + maps->n_vmas || vma->shared || !(vma->prot & PROT_WRITE) ||
	    room > FAR_MAX || vma->end - vma->start < room)
		return 0;
	foreach_thread (thread, task) {
		uint64_t sp = arch_sp(&thread->regs);

		if (sp >= vma->start && sp < vma->start + room + FAR_MARGIN)
			return 0;
	}
	if (!holds_nothing(task, vma->start, room) && !left_by_us(task, vma->start + room))
		return 0;
	return vma->start + room;
}

uint64_t place_on_stack(const struct thread *thread, const struct proc_maps *maps, size_t room)
{
	if (dead_below(thread, maps, room))
		return arch_sp(&thread->regs) - ARCH_RED_ZONE;
	return far_end(thread->task, maps, room);
}
