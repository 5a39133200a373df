/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file-facts: which files the programs had open or mapped, so that a reader can tell whether it has
 * the same ones.
 *
 * In the stop only names are noted; files are looked at after the thaw, through the container's
 * root. A file that is another one by then gets no hash: what is recorded is true or absent.
 */
#pragma once

#include <openssl/sha.h>

#include "object/capture.h"

#define FILE_FACTS_BUILD_ID_MAX 64
#define FILE_FACTS_HASH_MAX	((uint64_t)64 << 20) /* bytes; larger files are not hashed */

/* One regular file. Everything but the last block is known in the stop. */
struct file_fact {
	const char *path;	 /* as seen in the container */
	uint64_t dev, ino, size; /* bytes */
	uint32_t mode;
	int64_t mtime_sec;
	uint32_t mtime_nsec;
	bool written;	     /* somebody had it open for writing: its bytes are not hashed */
	bool mapped;	     /* and mapped so: it can change without its times */
	bool deleted;	     /* its content is a ghost-file image */
	Img__RegFile **regs; /* entries of it, that get the build-id */
	size_t n_regs;

	unsigned char build_id[FILE_FACTS_BUILD_ID_MAX];
	size_t n_build_id; /* bytes, 0 = none */
	unsigned char sha256[SHA256_DIGEST_LENGTH];
	bool hashed;
};

struct file_facts_list {
	struct arena arena;
	struct file_fact *facts;
	size_t n_facts;
	size_t *table; /* open hash over (dev, ino): index + 1 */
	size_t table_size;
};

#define FILE_FACTS_INIT ((struct file_facts_list){ 0 })

void file_facts_deinit(struct file_facts_list *list);

/* file_facts_add - note a regular file (once however often it comes) and an entry of it; reg is
 * NULL or lives as long as the set. @mapped: this is a mapping's file, not a descriptor's. */
int file_facts_add(struct file_facts_list *list, const struct stat *st, const char *path,
		   uint32_t flags, bool mapped, bool deleted, Img__RegFile *reg,
		   struct error *err) _must_check_;

/*
 * file_facts_finish - after the thaw, before the images are written: build-id of ELF files (into
 * the RegFile entries too), SHA-256 of others up to FILE_FACTS_HASH_MAX bytes.
 * @root_dir: O_PATH of the root that the paths are relative to
 * Files are opened with O_NOATIME and read through a mapping. Files that cannot be read are left
 * without. Returns 0, or an error when cancelled.
 */
int file_facts_finish(struct file_facts_list *list, struct image_set *set, struct op *op,
		      int root_dir, struct error *err) _must_check_;

/* elf_build_id - the GNU build-id of an ELF image of either class in memory. Returns its length in
 * bytes (at most max), 0 when there is none. */
size_t elf_build_id(struct bytes elf, unsigned char *ret, size_t max);
