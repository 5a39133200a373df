// SPDX-License-Identifier: Apache-2.0
/*
 * test-mount: a small container of our own is captured, and built again somewhere else.
 *
 * Needs root (exit 77 without). Everything happens in children with namespaces of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "kernel/ns.h"
#include "kernel/proc.h"
#include "object/mount.h"
#include "object/namespace-kinds.h"
#include "object/restore-shared.h"
#include "object/tree.h"

#define need(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #x,                 \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

struct fixture {
	char base[64];
	pid_t pid;	 /* the container */
	int ready, done; /* pipe ends */
	struct task task;
	struct task *tasks[1];
	struct task_tree tree;
	struct capture cap;
	struct image_set set;
	struct gap_list gaps;
	struct op op;
};

static void put(const char *path, const char *text)
{
	need(fd_write_file(AT_FDCWD, path, O_CREAT | O_TRUNC, 0644, text, strlen(text), NULL) == 0);
}

static bool has(const char *path, const char *text)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;

	return fd_read_file(AT_FDCWD, path, 1 << 20, &buf, NULL) == 0 && buf.len == strlen(text) &&
	       !memcmp(buf.data, text, buf.len);
}

static void container_ipc(void)
{
	unsigned short values[3] = { 7, 0, 9 };
	struct {
		long type;
		char text[8];
	} msg = { 42, "message" };
	int id;
	char *data;

	/* the second id of each kind, so that ids do not come out right by chance */
	need(shmctl(shmget(IPC_PRIVATE, 4096, 0600), IPC_RMID, NULL) == 0);
	id = shmget(0x1234, 10000, IPC_CREAT | 0640);
	data = shmat(id, NULL, 0);
	need(id >= 0 && data != (void *)-1);
	strcpy(data + 9000, "in memory");
	shmdt(data);
	need(semctl(semget(IPC_PRIVATE, 1, 0600), 0, IPC_RMID) == 0);
	id = semget(0x1234, 3, IPC_CREAT | 0600);
	need(id >= 0 && semctl(id, 0, SETALL, values) == 0);
	id = msgget(0x1234, IPC_CREAT | 0600);
	need(id >= 0 && msgsnd(id, &msg, sizeof(msg.text), 0) == 0);
	msg.type = 43;
	need(msgsnd(id, &msg, 0, 0) == 0);
	put("/proc/sys/kernel/msgmax", "12345");
}

static _Noreturn void container(const char *base, int ready, int done)
{
	char old[128], c = 'x';
	int fd;

	need(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) == 0);
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	need(sethostname("inside", 6) == 0 && setdomainname("example", 7) == 0);
	container_ipc();
	need(chdir(base) == 0);
	need(mount("rootfs", "rootfs", NULL, MS_BIND, NULL) == 0);
	need(mount("proc", "rootfs/proc", "proc", MS_NOSUID, NULL) == 0);
	need(mount("tmpfs", "rootfs/dev", "tmpfs", MS_NOSUID, "size=1m,mode=755") == 0);
	need(mknod("rootfs/dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0);
	need(symlink("/proc/self/fd", "rootfs/dev/fd") == 0);
	need(mkdir("rootfs/dev/shm", 01777) == 0 && mkdir("rootfs/dev/pts", 0755) == 0);
	put("rootfs/dev/shm/hidden", "under a mount");
	need(chown("rootfs/dev/shm/hidden", 1234, 5678) == 0);
	need(mount("shm", "rootfs/dev/shm", "tmpfs", MS_NODEV | MS_NOEXEC, "size=64k") == 0);
	put("rootfs/dev/shm/seen", "in the inner tmpfs");
	need(mount("devpts", "rootfs/dev/pts", "devpts", 0, "gid=5,mode=620,ptmxmode=666") == 0);
	need(mount("tmpfs", "rootfs/masked", "tmpfs", MS_RDONLY, "size=0") == 0);
	need(mount("rootfs/dev/null", "rootfs/etc/keys", NULL, MS_BIND, NULL) == 0);
	need(mount("rootfs/proc/sys", "rootfs/proc/sys", NULL, MS_BIND, NULL) == 0);
	need(mount(NULL, "rootfs/proc/sys", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0);
	need(mount("outside.txt", "rootfs/etc/resolv.conf", NULL, MS_BIND, NULL) == 0);
	need(mount("volume", "rootfs/volume", NULL, MS_BIND, NULL) == 0);
	need(mount("/dev/null", "rootfs/etc/device", NULL, MS_BIND, NULL) == 0);
	need(mount("rootfs/data/part", "rootfs/again", NULL, MS_BIND, NULL) == 0);
	need(mount(NULL, "rootfs/again", NULL,
		   MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NOATIME, NULL) == 0);
	/* a mount that is hidden by one made later on its parent */
	need(mount("deep", "rootfs/over/deep", "tmpfs", 0, "size=64k") == 0);
	put("rootfs/over/deep/file", "deep");
	need(mount("over", "rootfs/over", "tmpfs", 0, "size=64k") == 0);
	put("rootfs/over/file", "over");
	need(mount("shared", "rootfs/shared", "tmpfs", 0, "size=64k") == 0);
	need(mount(NULL, "rootfs/shared", NULL, MS_SHARED, NULL) == 0);

	snprintf(old, sizeof(old), "%s/rootfs", base);
	need(chdir(old) == 0 && syscall(SYS_pivot_root, ".", ".") == 0);
	need(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0);
	/* closes what cmocka has open; the test must not depend on it */
	fd = open("/data/file", O_RDONLY);
	need(fd >= 0 && write(ready, &c, 1) == 1);
	(void)!read(done, &c, 1);
	_exit(0);
}

static void prepare(const char *base)
{
	static const char *const dirs[] = {
		"volume",	 "rootfs",	  "rootfs/proc",      "rootfs/dev",
		"rootfs/etc",	 "rootfs/masked", "rootfs/volume",    "rootfs/data",
		"rootfs/again",	 "rootfs/over",	  "rootfs/data/part", "rootfs/over/deep",
		"rootfs/shared", "base",	  "base/data",	      "base/data/part",
		"base/etc",	 "scratch",	  "base/over"
	};
	size_t i;

	need(chdir(base) == 0);
	for (i = 0; i < ARRAY_SIZE(dirs); i++)
		need(mkdir(dirs[i], 0755) == 0);
	put("outside.txt", "nameserver 192.0.2.1");
	put("volume/file", "on a volume");
	put("rootfs/etc/keys", "");
	put("rootfs/etc/device", "");
	put("rootfs/etc/resolv.conf", "");
	put("rootfs/data/file", "x");
	put("base/data/part/file", "part");
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int ready[2], done[2], stat;
	enum ns_kind kind;
	struct ns_set own, theirs;
	struct error err;
	pid_t pid;
	char c;

	umask(0);
	/* not below /tmp itself: the restorer refuses to hand out what belongs to the system */
	strcpy(f->base, "/tmp/test-mount-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	assert_int_equal(chmod(f->base, 0755), 0);
	pid = fork();
	if (!pid) {
		prepare(f->base);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &stat, 0), pid);
	assert_int_equal(stat, 0);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	f->pid = fork();
	if (!f->pid) {
		close(done[1]);
		container(f->base, ready[1], done[0]);
	}
	close(ready[1]);
	close(done[0]);
	f->done = done[1];
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);

	f->op = OP_INIT;
	f->task = (struct task){ .pid = f->pid, .ns_pid = f->pid };
	assert_int_equal(proc_open(f->pid, &f->task.proc_fd, &err), 0);
	f->tasks[0] = &f->task;
	f->tree.tasks = f->tasks;
	f->tree.n_tasks = 1;
	f->cap = (struct capture){ .op = &f->op,
				   .set = &f->set,
				   .gaps = &f->gaps,
				   .tree = &f->tree,
				   .root = &f->task,
				   .next_id = 32 };
	f->cap.root_dir = openat(f->task.proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	{
		_cleanup_close_ int self = -1;

		assert_int_equal(proc_open(getpid(), &self, &err), 0);
		assert_int_equal(ns_read(self, &own, &err), 0);
		assert_int_equal(ns_read(f->task.proc_fd, &theirs, &err), 0);
	}
	for (kind = 0; kind < NS_KINDS; kind++) {
		f->cap.ns[kind].fd = -1;
		f->cap.ns[kind].ino = theirs.id[kind].ino;
		f->cap.ns[kind].own = ns_same(own.id[kind], theirs.id[kind]);
		f->cap.ns[kind].id = f->cap.ns[kind].own ? kind + 1 : 100 + kind;
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int top, stat;

	close(f->done);
	waitpid(f->pid, &stat, 0);
	close(f->task.proc_fd);
	close(f->cap.root_dir);
	mount_index_free(f->cap.mounts);
	ipc_look_free(f->cap.ipc);
	image_set_deinit(&f->set);
	gap_list_deinit(&f->gaps);
	top = open(f->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(tree_empty(top), 0);
	close(top);
	assert_int_equal(rmdir(f->base), 0);
	free(f);
	return 0;
}

static Img__Mnt *entry(struct fixture *f, const char *mountpoint)
{
	const struct image *image = image_find(&f->set, IMAGE_MOUNTPOINTS, f->cap.ns[NS_MNT].id);
	Img__Mnt *m, *found = NULL;
	size_t i;

	assert_non_null(image);
	for (i = 0; i < image->n_entries; i++) {
		m = image_message(image, i);
		if (!strcmp(m->mountpoint, mountpoint))
			found = m;
	}
	if (!found)
		fail_msg("no mount at %s in the images", mountpoint);
	return found;
}

static void capture_all(struct fixture *f)
{
	struct error err = ERROR_INIT;

	if (mount_namespace_kind.capture(&f->cap, &f->cap.ns[NS_MNT], &err) < 0 ||
	    uts_namespace_kind.capture(&f->cap, &f->cap.ns[NS_UTS], &err) < 0 ||
	    ipc_namespace_kind.capture(&f->cap, &f->cap.ns[NS_IPC], &err) < 0 ||
	    mount_contents_finish(&f->cap, &err) < 0 || cgroup_capture(&f->cap, &err) < 0 ||
	    cgroup_describe(&f->set, &err) < 0 || timens_capture(&f->cap, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_capture(void **state)
{
	struct fixture *f = *state;
	const Img__Timens *clocks;
	const Img__Cgroup *groups;
	const struct gap *gap;
	Img__Mnt *m;
	size_t i;

	capture_all(f);
	m = entry(f, "/dev/shm");
	assert_int_equal(m->fstype, IMG__FSTYPE__TMPFS);
	assert_string_equal(m->root, "/");
	assert_true(m->flags & MS_NODEV);
	assert_false(m->flags & MS_NOSUID);
	assert_null(m->ext_key);
	assert_non_null(strstr(m->options, "size=64k"));
	assert_null(strstr(m->options, "rw"));
	assert_int_equal(m->parent_mnt_id, entry(f, "/dev")->mnt_id);
	assert_non_null(image_find(&f->set, IMAGE_TMPFS_DEV, m->root_dev));
	assert_string_equal(entry(f, "/etc/resolv.conf")->ext_key, "/etc/resolv.conf");
	assert_string_equal(entry(f, "/volume")->ext_key, "/volume");
	assert_null(entry(f, "/again")->ext_key);
	assert_null(entry(f, "/etc/keys")->ext_key);
	assert_string_equal(entry(f, "/proc/sys")->root, "/sys");
	assert_null(entry(f, "/proc/sys")->ext_key);
	assert_true(entry(f, "/shared")->shared_id > 0);
	assert_int_equal(entry(f, "/masked")->sb_flags & MS_RDONLY, MS_RDONLY);
	assert_int_equal(entry(f, "/")->root_dev, entry(f, "/again")->root_dev);
	for (gap = f->gaps.first; gap; gap = gap->next)
		if (!strstr(gap->subject, "/over/deep") && !strstr(gap->reason, "from outside"))
			fail_msg("%s: %s", gap->subject, gap->reason);
	clocks = image_single(&f->set, IMAGE_TIMENS, 0);
	assert_true(clocks && clocks->monotonic->tv_sec > 0);
	groups = image_single(&f->set, IMAGE_CGROUP, 0);
	for (i = 0; groups && i < groups->sets[0]->n_ctls; i++)
		assert_int_equal(groups->sets[0]->ctls[i]->cgns_prefix,
				 strlen(groups->sets[0]->ctls[i]->path));
	assert_true(groups && groups->n_sets == 1 &&
		    groups->n_controllers == groups->sets[0]->n_ctls);
}

static unsigned long flags_now(const char *mountpoint, const char *fstype)
{
	_cleanup_close_ int self = open("/proc/self", O_PATH | O_DIRECTORY);
	struct arena arena = ARENA_INIT;
	struct proc_mounts mounts;
	unsigned long flags = ~0UL;
	size_t i;

	need(self >= 0 && proc_mountinfo_read(self, &arena, &mounts, NULL) == 0);
	for (i = 0; i < mounts.n_mounts; i++)
		if (!strcmp(mounts.mounts[i].mountpoint, mountpoint) &&
		    (!fstype || !strcmp(mounts.mounts[i].fstype, fstype)))
			flags = proc_mount_flags(mounts.mounts[i].options);
	arena_deinit(&arena);
	return flags;
}

static void check_ipc(void)
{
	unsigned short values[3];
	struct {
		long type;
		char text[64];
	} msg;
	int shm = shmget(0x1234, 0, 0), sem = semget(0x1234, 0, 0), queue = msgget(0x1234, 0);
	struct shmid_ds ds;
	char *data;

	need(shm > 0 && sem > 0 && queue >= 0);
	data = shmat(shm, NULL, 0);
	need(data != (void *)-1 && !strcmp(data + 9000, "in memory"));
	need(shmctl(shm, IPC_STAT, &ds) == 0 && ds.shm_segsz == 10000 && ds.shm_perm.mode == 0640);
	need(semctl(sem, 0, GETALL, values) == 0 && values[0] == 7 && values[2] == 9);
	need(msgrcv(queue, &msg, sizeof(msg.text), 0, IPC_NOWAIT) == 8 && msg.type == 42);
	need(!strcmp(msg.text, "message"));
	need(msgrcv(queue, &msg, sizeof(msg.text), 0, IPC_NOWAIT) == 0 && msg.type == 43);
	need(has("/proc/sys/kernel/msgmax", "12345\n"));
}

static void check_sandbox(void)
{
	struct utsname names;
	struct stat st;

	need(uname(&names) == 0 && !strcmp(names.nodename, "inside"));
	need(!strcmp(names.domainname, "example"));
	check_ipc();
	need(has("/dev/shm/seen", "in the inner tmpfs"));
	need(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	need(access("/dev/pts/ptmx", F_OK) == 0);
	need(has("/etc/resolv.conf", "nameserver 192.0.2.1"));
	need(has("/volume/file", "on a volume"));
	need(has("/again/file", "part"));
	need(flags_now("/again", NULL) == (MS_RDONLY | MS_NOSUID | MS_NOATIME));
	need(flags_now("/dev/shm", "tmpfs") == (MS_NODEV | MS_NOEXEC | MS_RELATIME));
	need(flags_now("/proc/sys", "proc") & MS_RDONLY);
	need(flags_now("/masked", "tmpfs") != ~0UL);
	need(stat("/etc/keys", &st) == 0 && S_ISCHR(st.st_mode));
	need(stat("/etc/device", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
	need(has("/over/file", "over"));
	need(open("/masked/x", O_CREAT | O_WRONLY, 0600) < 0 && errno == EROFS);
	/* writing is private */
	put("/volume/file", "changed");
	put("/etc/resolv.conf", "changed");
	need(access("/tmp", F_OK) < 0 || access("/tmp/test-mount", F_OK) < 0);
	/* only this task is here, in a proc of its own */
	need(access("/proc/1", F_OK) == 0 && access("/proc/2", F_OK) < 0);
	/* what was under a mount is there too */
	need(umount2("/dev/shm", 0) == 0 && has("/dev/shm/hidden", "under a mount"));
	need(stat("/dev/shm/hidden", &st) == 0 && st.st_uid == 1234 && st.st_gid == 5678);
	need(umount2("/over", 0) == 0 && access("/over/deep", F_OK) == 0);
}

static _Noreturn void sandbox(struct fixture *f, struct restore *rst, bool images)
{
	char root[128], scratch[128];
	struct sandbox_spec spec = { .name = "test", .root = root, .scratch = scratch };
	struct error err = ERROR_INIT;
	uint32_t id = images ? f->cap.ns[NS_MNT].id : 0;
	struct stat st;

	snprintf(root, sizeof(root), "%s/base", f->base);
	snprintf(scratch, sizeof(scratch), "%s/scratch", f->base);
	rst->op = &f->op;
	rst->set = &f->set;
	need(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	need(mount("tmpfs", scratch, "tmpfs", 0, NULL) == 0);
	if (uts_namespace_kind.restore(rst, &spec, images ? f->cap.ns[NS_UTS].id : 0, &err) < 0 ||
	    ipc_namespace_kind.restore(rst, &spec, images ? f->cap.ns[NS_IPC].id : 0, &err) < 0 ||
	    mount_namespace_kind.restore(rst, &spec, id, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		_exit(1);
	}
	if (images) {
		need(!strcmp(mount_restored_path(rst, entry(f, "/dev/shm")->mnt_id), "/dev/shm"));
		need(!mount_restored_path(rst, 1));
		check_sandbox();
	} else {
		need(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
		need(access("/proc/self/maps", F_OK) == 0 && access("/proc/2", F_OK) < 0);
		need(flags_now("/proc/sys", "proc") & MS_RDONLY);
		need(has("/data/part/file", "part"));
		need(access("/dev/pts/ptmx", F_OK) == 0 && access("/dev/shm", W_OK) == 0);
	}
	_exit(0);
}

static struct restore_shared *run_sandbox(struct fixture *f, bool images)
{
	struct restore_shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct restore rst = { .shared = shared, .volumes = true };
	pid_t pid, inner;
	int stat;

	pid = fork();
	if (!pid) {
		need(unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC) == 0);
		inner = fork();
		if (!inner)
			sandbox(f, &rst, images);
		need(waitpid(inner, &stat, 0) == inner);
		_exit(WIFEXITED(stat) ? WEXITSTATUS(stat) : 2);
	}
	assert_int_equal(waitpid(pid, &stat, 0), pid);
	assert_int_equal(stat, 0);
	return shared;
}

static void test_restore(void **state)
{
	struct fixture *f = *state;
	struct restore_shared *shared;
	char path[128];
	uint32_t i, worse = 0;

	capture_all(f);
	shared = run_sandbox(f, true);
	for (i = 0; i < shared->n_notes; i++)
		if (shared->notes[i].effect != GAP_COSMETIC &&
		    !strstr(shared->notes[i].subject, "/over/deep")) {
			print_message("%s: %s\n", shared->notes[i].subject,
				      shared->notes[i].reason);
			worse++;
		}
	assert_int_equal(worse, 0);
	munmap(shared, sizeof(*shared));
	/* nothing of the host was touched */
	snprintf(path, sizeof(path), "%s/volume/file", f->base);
	assert_true(has(path, "on a volume"));
	snprintf(path, sizeof(path), "%s/outside.txt", f->base);
	assert_true(has(path, "nameserver 192.0.2.1"));
}

static void test_default(void **state)
{
	struct fixture *f = *state;
	struct restore_shared *shared = run_sandbox(f, false);

	assert_int_equal(shared->n_notes, 0);
	munmap(shared, sizeof(*shared));
}

/* Images that were made up: nothing of them may lead out of the sandbox, or bring it down. */
static void test_hostile(void **state)
{
	struct fixture *f = *state;
	struct restore_shared *shared;
	Img__Mnt *m;
	size_t i;

	capture_all(f);
	entry(f, "/again")->mountpoint = arena_strdup(&f->set.arena, "/../../etc");
	entry(f, "/volume")->root = arena_strdup(&f->set.arena, "/etc");
	m = entry(f, "/shared");
	m->parent_mnt_id = m->mnt_id; /* a ring */
	m = entry(f, "/masked");
	m->options = arena_strdup(&f->set.arena, "size=1,nonsense=,,=,mode=99999,upperdir=/etc");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	i = 0;
	{
		struct restore rst = {
			.shared = shared, .op = &f->op, .set = &f->set, .volumes = true
		};
		struct sandbox_spec spec = { .name = "test" };
		char root[128], scratch[128];
		struct error err = ERROR_INIT;
		int stat;
		pid_t pid;

		snprintf(root, sizeof(root), "%s/base", f->base);
		snprintf(scratch, sizeof(scratch), "%s/scratch", f->base);
		spec.root = root;
		spec.scratch = scratch;
		pid = fork();
		if (!pid) {
			need(unshare(CLONE_NEWNS) == 0);
			if (mount_restore(&rst, &spec, f->cap.ns[NS_MNT].id, &err) < 0)
				fprintf(stderr, "%s\n", err.text);
			need(!err.errnum);
			need(access("/volume/passwd", F_OK) < 0);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &stat, 0), pid);
		assert_int_equal(stat, 0);
	}
	(void)i;
	assert_true(shared->n_notes >= 3);
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_capture, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restore, setup, teardown),
		cmocka_unit_test_setup_teardown(test_default, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
	};

	if (geteuid() != 0 || unshare(CLONE_FS) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
