// SPDX-License-Identifier: Apache-2.0
/* The stage of socket tests; see test-socket.h. */
#include "object/test-socket.h"

static void lo_up(void)
{
	struct ifreq req = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		_exit(101);
	close(fd);
}

void stage_subject(struct stage *s, void (*fn)(struct stage_told *told))
{
	memset(s, 0, sizeof(*s));
	s->op = OP_INIT;
	s->told = mmap(NULL, sizeof(*s->told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(s->told != MAP_FAILED);
	s->task.pid = fork();
	assert_true(s->task.pid >= 0);
	if (s->task.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0)
			_exit(100);
		lo_up();
		fn(s->told);
		s->told->done = 1;
		for (;;)
			pause();
	}
	while (!s->told->done && !s->told->go) {
		assert_int_equal(waitpid(s->task.pid, NULL, WNOHANG), 0);
		usleep(1000);
	}
	s->task.ns_pid = s->task.pid;
	assert_int_equal(pidfd_open_process(s->task.pid, &s->task.pidfd, &s->err), 0);
	assert_int_equal(proc_open(s->task.pid, &s->task.proc_fd, &s->err), 0);
}

void stage_stop(struct stage *s)
{
	int status;

	assert_int_equal(kill(s->task.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(s->task.pid, &status, WUNTRACED), s->task.pid);
	assert_true(WIFSTOPPED(status));
}

void stage_capture_begin(struct stage *s)
{
	char path[64];

	s->set = IMAGE_SET_INIT;
	s->gaps = GAP_LIST_INIT;
	s->tasks[0] = &s->task;
	s->tree = (struct task_tree){ .tasks = s->tasks, .n_tasks = 1 };
	s->cap = (struct capture){ .op = &s->op,
				   .set = &s->set,
				   .gaps = &s->gaps,
				   .tree = &s->tree,
				   .root = &s->task,
				   .root_dir = -1 };
	s->cap.files = file_index_new();
	assert_non_null(s->cap.files);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->task.pid);
	s->cap.ns[NS_NET] = (struct capture_ns){ .id = 7, .fd = open(path, O_RDONLY | O_CLOEXEC) };
	s->cap.next_id = 100;
	assert_int_equal(sock_index_new(&s->cap, &s->err), 0);
}

void stage_capture_fds(struct stage *s)
{
	int i, r;

	for (i = 0; i < s->told->n; i++) {
		struct fd_facts facts;
		Img__FdTypes type;

		r = fd_facts_gather(&s->task, s->told->fds[i], &s->set.arena, &facts, &s->err);
		if (r)
			fail_msg("fd %d: %s", s->told->fds[i], s->err.text);
		r = fd_capture_facts(&s->cap, &facts, &s->ids[i], &type, &s->err);
		if (r < 0)
			fail_msg("fd %d: %s", s->told->fds[i], s->err.text);
		if (r == CAPTURE_GAP)
			s->ids[i] = 0;
		close(facts.dup);
	}
	r = sock_index_finish(&s->cap, &s->err);
	if (r < 0)
		fail_msg("%s", s->err.text);
}

void stage_capture(struct stage *s)
{
	stage_capture_begin(s);
	stage_stop(s);
	stage_capture_fds(s);
	assert_int_equal(kill(s->task.pid, SIGCONT), 0);
}

void stage_capture_end(struct stage *s)
{
	sock_index_free(s->cap.sockets);
	close(s->cap.ns[NS_NET].fd);
	image_set_deinit(&s->set);
	file_index_free(s->cap.files);
	gap_list_deinit(&s->gaps);
}

void stage_end(struct stage *s)
{
	kill(s->task.pid, SIGKILL);
	waitpid(s->task.pid, NULL, 0);
	close(s->task.pidfd);
	close(s->task.proc_fd);
	munmap(s->told, sizeof(*s->told));
}

const Img__FileEntry *stage_entry(struct stage *s, int i)
{
	return s->ids[i] ? file_captured(&s->cap, s->ids[i]) : NULL;
}

void stage_print_gaps(const struct stage *s)
{
	const struct gap *g;

	for (g = s->gaps.first; g; g = g->next)
		print_message("gap: %s: %s\n", g->subject, g->reason);
}

bool stage_has_gap(const struct stage *s, const char *text)
{
	const struct gap *g;

	for (g = s->gaps.first; g; g = g->next)
		if (strstr(g->reason, text))
			return true;
	return false;
}

int copy_fd(struct copy *c, int i)
{
	struct restore_file *f = restore_file_find(&c->rst, c->stage->ids[i]);

	return f ? f->fd : -1;
}

static int copy_compare(const void *a, const void *b)
{
	const struct restore_file *x = a, *y = b;

	return x->entry->id < y->entry->id ? -1 : x->entry->id > y->entry->id;
}

static void copy_files(struct copy *c)
{
	const struct image *files = image_find(&c->stage->set, IMAGE_FILES, 0);
	size_t i;

	for (i = 0; files && i < files->n_entries; i++) {
		Img__FileEntry *e = image_message(files, i);

		c->files[i] = (struct restore_file){ e, fd_kind_of(e->type), -1 };
	}
	c->rst.files = c->files;
	c->rst.n_files = files ? files->n_entries : 0;
	qsort(c->files, c->rst.n_files, sizeof(c->files[0]), copy_compare);
}

static void copy_open_all(struct copy *c)
{
	struct error err = ERROR_INIT;
	size_t i;
	int r;

	for (i = 0; i < c->rst.n_files; i++) {
		struct restore_file *f = &c->files[i];
		int fd = -1;

		r = f->kind->open(&c->rst, f->entry, &fd, &err);
		if (r < 0)
			fprintf(stderr, "open of file %u: %s\n", f->entry->id, err.text);
		CHECK(r >= 0);
		if (r == 0) {
			f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 500);
			CHECK(f->fd >= 500);
			close(fd);
		}
	}
	for (i = 0; i < c->rst.n_files; i++) {
		struct restore_file *f = &c->files[i];

		if (!f->kind->connect || f->fd < 0)
			continue;
		r = f->kind->connect(&c->rst, f->entry, f->fd, &err);
		if (r < 0)
			fprintf(stderr, "connect of file %u: %s\n", f->entry->id, err.text);
		CHECK(r >= 0);
	}
}

unsigned int stage_copy(struct stage *s, uint32_t netns, bool tcp_close, void (*fn)(struct copy *c))
{
	struct restore_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i, n;
	int status;
	pid_t pid;

	assert_true(shared != MAP_FAILED);
	memset(shared, 0, sizeof(*shared));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		static struct copy copy;
		struct error err = ERROR_INIT;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(30);
		copy.stage = s;
		copy.rst = (struct restore){ .op = &s->op,
					     .set = &s->set,
					     .shared = shared,
					     .fd_base = 500,
					     .tcp_close = tcp_close,
					     .tasks = &copy.task,
					     .n_tasks = 1 };
		CHECK(unshare(CLONE_NEWNET) == 0);
		CHECK(netns_restore(&copy.rst, NULL, netns, &err) == 0);
		copy_files(&copy);
		copy_open_all(&copy);
		fn(&copy);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	n = shared->n_notes;
	for (i = 0; i < n && i < RESTORE_NOTES_MAX; i++)
		fprintf(stderr, "note: %s: %s: %s\n", shared->notes[i].kind,
			shared->notes[i].subject, shared->notes[i].reason);
	munmap(shared, sizeof(*shared));
	assert_int_equal(status, 0);
	return n;
}
