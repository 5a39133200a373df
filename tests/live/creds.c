// SPDX-License-Identifier: Apache-2.0
/* Ids, groups, capabilities, securebits, no_new_privs and dumpable, as /proc/self/status tells
 * them. */
#include "subject.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>

static void describe(char *out, size_t size)
{
	static const char *const wanted[] = { "Uid:", "Gid:",	     "Groups:",
					      "Cap",  "NoNewPrivs:", "Umask:" };
	FILE *f = fopen("/proc/self/status", "r");
	char line[512];
	size_t n;

	CHECK(f);
	n = snprintf(out, size, "bits %d dump %d keep %d ", prctl(PR_GET_SECUREBITS),
		     prctl(PR_GET_DUMPABLE), prctl(PR_GET_KEEPCAPS));
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
				n += snprintf(out + n, size - n, "%s", line);
	CHECK(n < size);
	fclose(f);
}

int main(int argc, char **argv)
{
	static char before[4096], after[4096];
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { 0 };
	gid_t groups[] = { 50, 77, 4242 };

	subject_init(argc, argv);
	umask(027);
	CHECK(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP |
					       SECBIT_NO_SETUID_FIXUP_LOCKED) == 0);
	CHECK(setgroups(3, groups) == 0);
	CHECK(prctl(PR_CAPBSET_DROP, CAP_AUDIT_WRITE) == 0);
	CHECK(setresgid(1001, 1002, 1003) == 0 && setresuid(1001, 1002, 1003) == 0);
	caps[0].permitted = 1 << CAP_NET_BIND_SERVICE | 1 << CAP_KILL | 1 << CAP_CHOWN;
	caps[0].effective = 1 << CAP_NET_BIND_SERVICE;
	caps[0].inheritable = 1 << CAP_NET_BIND_SERVICE;
	CHECK(syscall(SYS_capset, &head, caps) == 0);
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	describe(before, sizeof(before));

	subject_ready();
	subject_wait();

	describe(after, sizeof(after));
	if (strcmp(before, after))
		subject_fail(before, 0, after);
	subject_pass();
}
