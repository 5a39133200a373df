// SPDX-License-Identifier: Apache-2.0
/*
 * test-proc-maps: known texts, and the mappings of this very process.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "kernel/proc-maps.h"
#include "kernel/proc.h"

#define TEXT(s) ((struct bytes){ (const unsigned char *)(s), strlen(s) })

static void test_maps_text(void **state)
{
	static const char text[] =
		"55d0c0000000-55d0c0001000 r-xp 00002000 fd:01 4242                /usr/bin/a "
		"b\\012c\\040d\n"
		"55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                   [heap]\n"
		"7f0000000000-7f0000001000 rw-s 00000000 00:01 77                  /dev/zero "
		"(deleted)\n"
		"7f0000002000-7f0000003000 rw-p 00000000 00:00 0 \n"
		"7f0000004000-7f0000005000 rw-p 00000000 00:00 0                   [anon:my name]\n"
		"7f0000006000-7f0000007000 rw-s 00000000 00:01 1024                /memfd:x y "
		"(deleted)\n"
		"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                   [stack]\n"
		"7ffd00100000-7ffd00104000 r--p 00000000 00:00 0                   [vvar]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0           [vsyscall]";
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;

	assert_int_equal(proc_maps_parse(TEXT(text), &arena, &maps, &err), 0);
	assert_int_equal(maps.n_vmas, 9);
	assert_int_equal(maps.vmas[0].prot, PROT_READ | PROT_EXEC);
	assert_int_equal(maps.vmas[0].pgoff, 0x2000);
	assert_int_equal(maps.vmas[0].major, 0xfd);
	assert_int_equal(maps.vmas[0].ino, 4242);
	assert_string_equal(maps.vmas[0].path, "/usr/bin/a b\nc\\040d");
	assert_false(maps.vmas[0].has_smaps);
	assert_int_equal(maps.vmas[1].kind, PROC_VMA_HEAP);
	assert_int_equal(maps.vmas[2].kind, PROC_VMA_ANON_SHARED);
	assert_true(maps.vmas[2].shared && maps.vmas[2].deleted);
	assert_int_equal(maps.vmas[3].kind, PROC_VMA_ANON);
	assert_null(maps.vmas[3].path);
	assert_string_equal(maps.vmas[4].name, "my name");
	assert_int_equal(maps.vmas[4].kind, PROC_VMA_ANON);
	assert_string_equal(maps.vmas[5].path, "/memfd:x y");
	assert_int_equal(maps.vmas[6].kind, PROC_VMA_STACK);
	assert_int_equal(maps.vmas[7].kind, PROC_VMA_VVAR);
	assert_int_equal(maps.vmas[8].kind, PROC_VMA_VSYSCALL);
	assert_int_equal(maps.vmas[8].start, 0xffffffffff600000);
	assert_ptr_equal(proc_maps_find(&maps, 0x7f0000002fff), &maps.vmas[3]);
	assert_null(proc_maps_find(&maps, 0x7f0000003000));
	assert_null(proc_maps_find(&maps, 0));
	assert_null(proc_maps_find(&maps, UINT64_MAX));
	arena_deinit(&arena);
}

static void test_smaps_text(void **state)
{
	static const char text[] =
		"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 \n"
		"Size:               1024 kB\nRss:                  12 kB\nAnonymous:   8 kB\n"
		"Swap:                  4 kB\nTHPeligible:           0\nProtectionKey:         3\n"
		"VmFlags: rd wr mr mw me gd lo ac zz dd wf sl qq \n"
		"7f0000100000-7f0000200000 rw-p 00000000 00:00 0 \nVmFlags: rd sd\n";
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;

	assert_int_equal(proc_maps_parse(TEXT(text), &arena, &maps, &err), 0);
	assert_int_equal(maps.n_vmas, 2);
	assert_true(maps.vmas[0].has_smaps);
	assert_int_equal(maps.vmas[0].rss, 12 << 10);
	assert_int_equal(maps.vmas[0].anonymous, 8 << 10);
	assert_int_equal(maps.vmas[0].swap, 4 << 10);
	assert_int_equal(maps.vmas[0].protection_key, 3);
	assert_true(maps.vmas[0].vmflags == (PROC_VMF_RD | PROC_VMF_WR | PROC_VMF_MR | PROC_VMF_MW |
					     PROC_VMF_ME | PROC_VMF_GD | PROC_VMF_LO | PROC_VMF_AC |
					     PROC_VMF_DD | PROC_VMF_WF | PROC_VMF_SL));
	assert_string_equal(maps.vmas[0].vmflags_unknown, "zz qq");
	assert_true(maps.vmas[1].vmflags == (PROC_VMF_RD | PROC_VMF_SD));
	assert_int_equal(maps.vmas[1].protection_key, -1);
	arena_deinit(&arena);
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"Rss: 1 kB\n",
		"zz\n",
		"1000-800 rw-p 0 00:00 0\n",
		"1000-2000 rw 0 00:00 0\n",
		"1000-2000 rw-p 0 00 0\n",
		"1000-2000 rw-p 0 00:00\n",
		"\n",
		"1000-2000 rw-p 0 00:00 0\nVmFlags: toolong\n",
		"1000-2000 rw-p 0 0:0 0\nRss: x\n",
	};
	struct proc_maps maps;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct arena arena = ARENA_INIT;
		struct error err = ERROR_INIT;

		assert_int_equal(proc_maps_parse(TEXT(texts[i]), &arena, &maps, &err), -EBADMSG);
		assert_true(err.errnum == EBADMSG && err.text[0]);
		arena_deinit(&arena);
	}
}

static void test_self(void **state)
{
	_cleanup_close_ int proc = -1, file = -1;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps, smaps;
	const struct proc_vma *vma;
	struct stat st;
	char *anon, *mapped, *locked;

	file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(file, &st), 0);
	anon = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	locked = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 4096);
	assert_true(anon != MAP_FAILED && locked != MAP_FAILED && mapped != MAP_FAILED);
	memset(anon, 1, 8192);
	assert_int_equal(madvise(anon, 65536, MADV_DONTDUMP), 0);
	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	assert_int_equal(proc_maps_read(proc, PROC_MAPS_ONLY, &arena, &maps, &err), 0);
	assert_int_equal(proc_maps_read(proc, PROC_MAPS_SMAPS, &arena, &smaps, &err), 0);

	vma = proc_maps_find(&smaps, (uintptr_t)anon);
	assert_non_null(vma);
	assert_int_equal(vma->prot, PROT_READ | PROT_WRITE);
	assert_true(vma->vmflags & PROC_VMF_DD);
	assert_true(vma->rss >= 8192 && vma->anonymous >= 8192);
	assert_null(vma->vmflags_unknown);
	vma = proc_maps_find(&maps, (uintptr_t)mapped);
	assert_int_equal(vma->kind, PROC_VMA_FILE);
	assert_int_equal(vma->ino, st.st_ino);
	assert_int_equal(vma->pgoff, 4096);
	vma = proc_maps_find(&maps, (uintptr_t)locked);
	assert_true(vma->shared && vma->kind == PROC_VMA_ANON_SHARED);
	vma = proc_maps_find(&maps, (uintptr_t)&vma);
	assert_true(vma->kind == PROC_VMA_STACK || vma->kind == PROC_VMA_ANON);
	munmap(anon, 65536);
	munmap(locked, 4096);
	munmap(mapped, 4096);
	arena_deinit(&arena);
}

static void test_no_memory(void **state)
{
	_cleanup_close_ int proc = -1;
	struct arena arena = ARENA_INIT;
	struct error err = ERROR_INIT;
	struct proc_maps maps;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(proc_open(pid, &proc, &err), 0);
	assert_int_equal(proc_maps_read(proc, PROC_MAPS_SMAPS, &arena, &maps, &err), 0);
	assert_int_equal(maps.n_vmas, 0);
	assert_int_equal(err.errnum, 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(proc_maps_read(proc, PROC_MAPS_ONLY, &arena, &maps, &err) < 0);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps_text), cmocka_unit_test(test_smaps_text),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_self),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
