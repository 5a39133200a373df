// SPDX-License-Identifier: Apache-2.0
/*
 * process-vm: other address spaces' bytes. Never fills a hole with zeros.
 */
#include "kernel/process-vm.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum direction { READ, WRITE };

/* How far a transfer has come: whole ranges, and bytes of the next one. */
struct place {
	size_t range, offset;
};

static void advance(struct place *at, const struct iovec *remote, size_t n, size_t bytes)
{
	while (at->range < n && bytes >= remote[at->range].iov_len - at->offset) {
		bytes -= remote[at->range].iov_len - at->offset;
		at->offset = 0;
		at->range++;
	}
	at->offset += bytes;
}

static int transfer(enum direction direction, pid_t pid, const struct iovec *remote, size_t n,
		    char *local, size_t *ret_done, struct error *err)
{
	struct iovec chunk[IOV_MAX];
	struct place at = { 0, 0 };
	size_t done = 0;
	int errnum = 0;

	advance(&at, remote, n, 0);
	while (at.range < n) {
		struct iovec here = { local + done, 0 };
		size_t count = MIN(n - at.range, (size_t)IOV_MAX);
		ssize_t got;

		memcpy(chunk, remote + at.range, count * sizeof(*chunk));
		chunk[0].iov_base = (char *)chunk[0].iov_base + at.offset;
		chunk[0].iov_len -= at.offset;
		for (size_t i = 0; i < count; i++)
			here.iov_len += chunk[i].iov_len;
		got = direction == READ ? process_vm_readv(pid, &here, 1, chunk, count, 0)
					: process_vm_writev(pid, &here, 1, chunk, count, 0);
		if (got <= 0) {
			errnum = got < 0 ? errno : EFAULT;
			break;
		}
		done += got;
		advance(&at, remote, n, got);
	}
	if (ret_done)
		*ret_done = done;
	if (at.range < n)
		return error_errno(err, errnum, "cannot %s memory of process %d at %p",
				   direction == READ ? "read" : "write", pid,
				   (void *)((char *)remote[at.range].iov_base + at.offset));
	return 0;
}

int process_vm_read_vec(pid_t pid, const struct iovec *remote, size_t n, void *ret,
			size_t *ret_done, struct error *err)
{
	return transfer(READ, pid, remote, n, ret, ret_done, err);
}

int process_vm_write_vec(pid_t pid, const struct iovec *remote, size_t n, const void *data,
			 size_t *ret_done, struct error *err)
{
	return transfer(WRITE, pid, remote, n, (char *)data, ret_done, err);
}

int process_vm_read(pid_t pid, uint64_t address, void *ret, size_t len, struct error *err)
{
	const struct iovec remote = { (void *)(uintptr_t)address, len };

	return transfer(READ, pid, &remote, 1, ret, NULL, err);
}

int process_vm_write(pid_t pid, uint64_t address, const void *data, size_t len, struct error *err)
{
	const struct iovec remote = { (void *)(uintptr_t)address, len };

	return transfer(WRITE, pid, &remote, 1, (char *)data, NULL, err);
}

/* Page by page: the next one need not be there, and the string may end before it. */
int process_vm_string(pid_t pid, uint64_t address, char *ret, size_t size, struct error *err)
{
	size_t have = 0;
	int r;

	while (have + 1 < size) {
		uint64_t at = address + have;
		size_t step =
			MIN(size - 1 - have, (size_t)(AMBER_PAGE_SIZE - at % AMBER_PAGE_SIZE));

		r = process_vm_read(pid, at, ret + have, step, err);
		if (r < 0)
			return r;
		if (memchr(ret + have, '\0', step))
			return 0;
		have += step;
	}
	return error_set(err, ERROR_SYSTEM, ENAMETOOLONG,
			 "string of process %d at 0x%llx is longer than %zu bytes", pid,
			 (unsigned long long)address, size);
}
