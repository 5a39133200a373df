/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process-vm: other address spaces' bytes, by process_vm_readv and process_vm_writev.
 *
 * Vectors of any length are split at IOV_MAX. A page that cannot be read ends the transfer: partial
 * results are told, never papered over.
 */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

/* process_vm_read - len bytes at address. Returns 0, or -EFAULT when not all can be read. */
int process_vm_read(pid_t pid, uint64_t address, void *ret, size_t len,
		    struct error *err) _must_check_;

/* process_vm_write - len bytes to address; the mapping must be writable by the process itself. */
int process_vm_write(pid_t pid, uint64_t address, const void *data, size_t len,
		     struct error *err) _must_check_;

/*
 * process_vm_read_vec - gather n remote ranges into one local row of bytes.
 * @ret: as long as the ranges together
 * @ret_done: bytes read before the first that could not be; may be NULL
 * Returns 0, -EFAULT (see *ret_done), -ESRCH, or another negative errno.
 */
int process_vm_read_vec(pid_t pid, const struct iovec *remote, size_t n, void *ret,
			size_t *ret_done, struct error *err) _must_check_;

/* process_vm_write_vec - the other way round. */
int process_vm_write_vec(pid_t pid, const struct iovec *remote, size_t n, const void *data,
			 size_t *ret_done, struct error *err) _must_check_;

/* process_vm_string - a NUL-terminated string of at most size - 1 bytes; -ENAMETOOLONG if longer.
 */
int process_vm_string(pid_t pid, uint64_t address, char *ret, size_t size,
		      struct error *err) _must_check_;
