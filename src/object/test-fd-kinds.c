// SPDX-License-Identifier: Apache-2.0
/*
 * test-fd-kinds: every kind of file, captured from a living child and brought back in another one.
 *
 * A case is a pair: make() puts descriptors into a child; check() runs in a second child with the
 * pid of the first, in which capture and restore have made them again, and behaves as the program
 * would. The cases are in test-fd-cases.c; here is the stage. Copy a case to test a new kind.
 */
#include "object/test-fd-cases.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fd.h"
#include "kernel/pidfd.h"
#include "kernel/proc.h"
#include "memory/fill.h"
#include "object/fd-capture.h"
#include "object/file-facts.h"
#include "object/file-index.h"
#include "object/mount.h"
#include "object/restore-shared.h"
#include "object/shmem.h"
#include "object/task-kinds.h"

#define FILES_ID 1
#define FD_BASE	 600

/* What is captured, and all that a capture needs around one task. */
struct stage {
	struct op op;
	struct image_set set;
	struct gap_list gaps;
	struct task task;
	struct task *tasks[1];
	struct task_tree tree;
	struct capture cap;
	struct file_facts_list facts;
	struct shmem_list shmem;
	struct error err;
	int pages;
};

/* The child with the originals. It lets go of everything it has from us. */
static pid_t original_start(const struct fd_case *c)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 0);
		if (fcntl(ready[1], F_DUPFD_CLOEXEC, FD_BASE) < 0)
			_exit(1);
		if (c->setup_parent)
			dup2(c->parent_fd[0], CASE_PARENT_FD);
		close_range(3, CASE_PARENT_FD - 1, 0);
		close_range(CASE_PARENT_FD + 1, FD_BASE - 1, 0);
		dup2(0, 1);
		dup2(0, 2);
		setsid();
		if (c->make() < 0)
			_exit(1);
		if (write(FD_BASE, "x", 1) != 1)
			_exit(1);
		close_range(FD_BASE, ~0U, 0);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		fail_msg("%s: the original could not make its files", c->name);
	/* It closes the last descriptor in the next instant. */
	while (read(ready[0], &byte, 1) > 0)
		;
	close(ready[0]);
	return pid;
}

static void stage_init(struct stage *s, pid_t pid)
{
	memset(s, 0, sizeof(*s));
	s->op = OP_INIT;
	s->pages = -1;
	assert_int_equal(proc_open(pid, &s->task.proc_fd, &s->err), 0);
	assert_int_equal(pidfd_open_process(pid, &s->task.pidfd, &s->err), 0);
	s->task.pid = s->task.ns_pid = s->task.pgid = s->task.sid = pid;
	s->tasks[0] = &s->task;
	s->tree.tasks = s->tasks;
	s->tree.n_tasks = 1;
	s->cap.op = &s->op;
	s->cap.set = &s->set;
	s->cap.gaps = &s->gaps;
	s->cap.tree = &s->tree;
	s->cap.root = &s->task;
	s->cap.root_dir = open("/", O_PATH | O_CLOEXEC);
	s->cap.files = file_index_new();
	s->cap.facts = &s->facts;
	s->cap.shmem = &s->shmem;
	s->cap.ghost_max = 1 << 20;
	assert_non_null(s->cap.files);
	{
		struct stat st;

		assert_int_equal(stat("/proc/self/ns/net", &st), 0);
		s->cap.ns[NS_NET] = (struct capture_ns){ .id = 9, .ino = st.st_ino, .fd = -1 };
	}
	assert_int_equal(mount_index_new(&s->cap, &s->err), 0);
}

static void stage_deinit(struct stage *s)
{
	close(s->task.proc_fd);
	close(s->task.pidfd);
	close(s->cap.root_dir);
	if (s->pages >= 0)
		close(s->pages);
	mount_index_free(s->cap.mounts);
	file_index_free(s->cap.files);
	file_facts_deinit(&s->facts);
	shmem_list_deinit(&s->shmem);
	image_set_deinit(&s->set);
	gap_list_deinit(&s->gaps);
}

/* What memory/ does in a real capture: shared memory into a pages image. */
static void dump_shmem(struct stage *s, struct pages_file *pages)
{
	uint64_t at = 0;
	size_t i;

	s->pages = memfd_create("pages", MFD_CLOEXEC);
	assert_true(s->pages >= 0);
	for (i = 0; i < s->shmem.n_objects; i++) {
		const struct shmem_object *object = &s->shmem.objects[i];
		uint64_t size = PAGE_ALIGN_UP(object->size);
		Img__PagemapHead *head = img_new(&s->set, Img__PagemapHead, pagemap_head);
		Img__Pagemap *map = img_new(&s->set, Img__Pagemap, pagemap);
		unsigned char *data = calloc(1, size);

		head->pages_id = i + 1;
		map->vaddr = 0;
		map->compat_nr_pages = size / AMBER_PAGE_SIZE;
		map->has_flags = map->has_nr_pages = true;
		map->nr_pages = size / AMBER_PAGE_SIZE;
		map->flags = PAGEMAP_PRESENT;
		assert_int_equal(fd_pread_all(object->fd, data, object->size, 0, &s->err), 0);
		assert_int_equal(fd_pwrite_all(s->pages, data, size, at, &s->err), 0);
		free(data);
		assert_int_equal(image_add(&s->set, IMAGE_PAGEMAP_SHMEM, object->shmid, &head->base,
					   (struct bytes){ 0 }, &s->err),
				 0);
		assert_int_equal(image_add(&s->set, IMAGE_PAGEMAP_SHMEM, object->shmid, &map->base,
					   (struct bytes){ 0 }, &s->err),
				 0);
		pages[i] = (struct pages_file){
			.id = i + 1, .fd = s->pages, .offset = at, .size = size
		};
		at += size;
	}
}

/* Everything must be writable as CRIU's images, and readable again. */
static void check_images(struct stage *s)
{
	enum image_kind kind;

	for (kind = 0; kind < IMAGE_KIND_COUNT; kind++) {
		const struct image *image;

		for (image = s->set.images[kind]; image; image = image->next) {
			_cleanup_(image_set_deinit) struct image_set again = IMAGE_SET_INIT;
			_cleanup_buf_ struct buf buf = BUF_INIT;
			const struct image *copy;
			char name[64];

			image_name(kind, image->id, name, sizeof(name));
			if (image_serialize(image, &buf, &s->err) < 0 ||
			    image_parse(&again, name, (struct bytes){ buf.data, buf.len },
					&s->err) < 0)
				fail_msg("%s: %s", name, s->err.text);
			copy = image_find(&again, kind, image->id);
			if (!copy || copy->n_entries != image->n_entries)
				fail_msg("%s: not what was written", name);
		}
	}
}

static int entry_compare(const void *a, const void *b)
{
	const struct restore_file *x = a, *y = b;

	return x->entry->id < y->entry->id ? -1 : x->entry->id > y->entry->id;
}

static void restore_files_fill(struct restore *rst)
{
	const struct image *image = image_find(rst->set, IMAGE_FILES, 0);
	size_t i;

	for (i = 0; image && i < image->n_entries; i++) {
		rst->files[i].entry = image_message(image, i);
		rst->files[i].kind = fd_kind_of(rst->files[i].entry->type);
		rst->files[i].fd = -1;
	}
	rst->n_files = image ? image->n_entries : 0;
	qsort(rst->files, rst->n_files, sizeof(*rst->files), entry_compare);
}

/* As restore/ does it: open, connect, numbers, attach, revive. */
static int restore_all(struct restore *rst, struct error *err)
{
	struct restore_task *task = &rst->tasks[0];
	size_t i, k;
	int r;

	for (i = 0; i < rst->n_files; i++) {
		struct restore_file *file = &rst->files[i];
		int fd = -1;

		r = file->kind->open(rst, file->entry, &fd, err);
		if (r < 0)
			return r;
		if (r == RESTORE_GAP)
			continue;
		file->fd = FD_BASE + 1 + i;
		if (dup3(fd, file->fd, O_CLOEXEC) < 0)
			return -errno;
		close(fd);
	}
	for (i = 0; i < rst->n_files; i++) {
		struct restore_file *file = &rst->files[i];

		if (file->fd < 0 || !file->kind->connect)
			continue;
		r = file->kind->connect(rst, file->entry, file->fd, err);
		if (r < 0)
			return r;
	}
	close_range(0, FD_BASE - 1, 0);
	for (i = 0; i < task->fdinfo->n_entries; i++) {
		const Img__Fdinfo *info = image_message(task->fdinfo, i);
		const struct restore_file *file = restore_file_find(rst, info->id);

		if (file->fd >= 0 &&
		    dup3(file->fd, info->fd, info->flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
			return -errno;
	}
	for (i = 0; i < rst->n_files; i++) {
		struct restore_file *file = &rst->files[i];

		for (k = 0; file->fd >= 0 && file->kind->attach && k < task->fdinfo->n_entries;
		     k++) {
			const Img__Fdinfo *info = image_message(task->fdinfo, k);

			if (info->id != file->entry->id)
				continue;
			r = file->kind->attach(rst, task, file->entry, info->fd, err);
			if (r < 0)
				return r;
			break;
		}
	}
	return file_lock_kind.revive(rst, task, err);
}

static int copy_main(const struct fd_case *c, struct restore *rst, int report)
{
	struct error err = ERROR_INIT;
	const char *failure;
	uint32_t i;
	int r;

	setsid();
	r = restore_all(rst, &err);
	if (r < 0) {
		dprintf(report, "restore: %s (%d)", err.text, r);
		return 1;
	}
	for (i = 0; i < rst->shared->n_notes; i++)
		if (!c->notes)
			dprintf(report, "note: %s: %s ", rst->shared->notes[i].subject,
				rst->shared->notes[i].reason);
	if (rst->shared->n_notes != c->notes) {
		dprintf(report, "%u notes", rst->shared->n_notes);
		return 1;
	}
	/* What the controller holds survives; everything else that is not a program's goes. */
	for (i = 0; i < rst->shared->n_held; i++)
		(void)dup3(rst->shared->held[i].fd, report + 1 + i, O_CLOEXEC);
	close_range(FD_BASE, report - 1, 0);
	close_range(report + 1 + i, ~0U, 0);
	/* In a real restore a script does this. */
	if (file_lock_kind.revive(rst, &rst->tasks[0], &err) < 0)
		return 1;
	failure = c->check();
	if (failure)
		dprintf(report, "check: %s", failure);
	return failure ? 1 : 0;
}

/* The second child: the copy. It has the pid of the first, which is dead by now. */
static void copy_run(const struct fd_case *c, struct stage *s, pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
				   .set_tid = (uintptr_t)&pid,
				   .set_tid_size = 1 };
	struct pages_file pages[16];
	struct restore_task task = { .pid = pid, .pgid = pid, .sid = pid };
	struct restore_file files[256];
	struct restore rst = { .op = &s->op,
			       .set = &s->set,
			       .gaps = &s->gaps,
			       .tasks = &task,
			       .n_tasks = 1,
			       .files = files,
			       .fd_base = FD_BASE,
			       .console_fd = c->console ? c->parent_fd[1] : -1,
			       .pages = pages };
	char text[1024] = "";
	int report[2], status;
	pid_t copy;
	ssize_t n;

	dump_shmem(s, pages);
	rst.n_pages = s->shmem.n_objects;
	check_images(s);
	task.fdinfo = image_find(&s->set, IMAGE_FDINFO, FILES_ID);
	restore_files_fill(&rst);
	rst.shared = mmap(NULL, sizeof(*rst.shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	fflush(NULL);
	copy = syscall(SYS_clone3, &args, sizeof(args));
	if (copy < 0)
		fail_msg("%s: pid %d: %s", c->name, (int)pid, strerror(errno));
	if (copy == 0) {
		int high = fcntl(report[1], F_DUPFD_CLOEXEC, FD_BASE + 300);

		_exit(copy_main(c, &rst, high));
	}
	close(report[1]);
	n = read(report[0], text, sizeof(text) - 1);
	if (n > 0)
		text[n] = '\0';
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: status 0x%x: %s", c->name, status, text);
	close(report[0]);
	munmap(rst.shared, sizeof(*rst.shared));
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

/* Cases leave files behind; each begins with an empty directory. */
static void directory_remove(void)
{
	(void)nftw(TEST_DIR, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void run_case(void **state)
{
	struct fd_case *c = *state;
	struct stage s;
	const struct gap *gap;
	pid_t pid;
	int r, status;

	directory_remove();
	assert_int_equal(mkdir(TEST_DIR, 0755), 0);
	if (c->setup_parent)
		c->setup_parent(c);
	pid = original_start(c);
	stage_init(&s, pid);
	r = fd_capture_task(&s.cap, &s.task, FILES_ID, &s.err);
	if (r == 0)
		r = fd_capture_finish(&s.cap, &s.err);
	if (r == 0)
		r = file_facts_finish(&s.facts, &s.set, &s.op, s.cap.root_dir, &s.err);
	if (r < 0)
		fail_msg("%s: capture: %s", c->name, s.err.text);
	for (gap = s.gaps.first; gap; gap = gap->next)
		if (s.gaps.n != c->gaps)
			print_message("%s: gap: %s: %s\n", c->name, gap->subject, gap->reason);
	assert_int_equal(s.gaps.n, c->gaps);
	if (c->captured)
		c->captured(&s.cap);

	/* With all that it has left behind: the number is free when no group has it any more. */
	kill(pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0)
		;
	copy_run(c, &s, pid);
	stage_deinit(&s);
	if (c->done)
		c->done(c);
}

int main(void)
{
	struct rlimit files = { 2048, 2048 };
	int failed;
	struct CMUnitTest tests[64] = { 0 };
	size_t i, n = 0;

	if (geteuid() != 0) {
		fprintf(stderr, "needs root: pids are chosen, descriptors taken\n");
		return 77;
	}
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (i = 0; fd_cases[i]; i++) {
		tests[n].name = fd_cases[i]->name;
		tests[n].test_func = run_case;
		tests[n++].initial_state = fd_cases[i];
	}
	failed = _cmocka_run_group_tests("fd-kinds", tests, n, NULL, NULL);
	directory_remove();
	return failed;
}
