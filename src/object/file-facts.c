// SPDX-License-Identifier: Apache-2.0
/*
 * file-facts: identity of the files that programs used, told after the thaw.
 *
 * Reads through mappings of descriptors opened with O_NOATIME: no access time changes and no read
 * shows in inotify. Parses ELF headers of files from a hostile container, so every offset is
 * checked.
 */
#include "object/file-facts.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "kernel/process-vm.h"

/* Read at a time. The note with the build-id stands in the first one; CRIU looks at as much. */
#define FACT_BLOCK ((size_t)1 << 20)

void file_facts_deinit(struct file_facts_list *list)
{
	arena_deinit(&list->arena);
	free(list->table);
	*list = FILE_FACTS_INIT;
}

static size_t fact_hash(uint64_t dev, uint64_t ino)
{
	uint64_t h = (dev * 0x9e3779b97f4a7c15ULL) ^ ino;

	h ^= h >> 32;
	return h * 0xd6e8feb86659fd93ULL >> 16;
}

static int table_grow(struct file_facts_list *list, struct error *err)
{
	size_t i, size = list->table_size ? list->table_size * 2 : 256;
	size_t *table = calloc(size, sizeof(*table));

	if (!table)
		return error_nomem(err);
	for (i = 0; i < list->n_facts; i++) {
		size_t at = fact_hash(list->facts[i].dev, list->facts[i].ino) & (size - 1);

		while (table[at])
			at = (at + 1) & (size - 1);
		table[at] = i + 1;
	}
	free(list->table);
	list->table = table;
	list->table_size = size;
	return 0;
}

/* The fact of an inode, a new one when there is none. */
static struct file_fact *fact_of(struct file_facts_list *list, uint64_t dev, uint64_t ino)
{
	struct file_fact *facts;
	size_t at;

	if (list->n_facts * 2 >= list->table_size && table_grow(list, NULL) < 0)
		return NULL;
	at = fact_hash(dev, ino) & (list->table_size - 1);
	for (; list->table[at]; at = (at + 1) & (list->table_size - 1)) {
		struct file_fact *fact = &list->facts[list->table[at] - 1];

		if (fact->dev == dev && fact->ino == ino)
			return fact;
	}
	facts = arena_grow(&list->arena, list->facts, list->n_facts, sizeof(*facts));
	if (!facts)
		return NULL;
	list->facts = facts;
	list->table[at] = ++list->n_facts;
	return &facts[list->n_facts - 1];
}

int file_facts_add(struct file_facts_list *list, const struct stat *st, const char *path,
		   uint32_t flags, bool mapped, bool deleted, Img__RegFile *reg, struct error *err)
{
	bool written = !(flags & O_PATH) && (flags & O_ACCMODE) != O_RDONLY;
	struct file_fact *fact = fact_of(list, st->st_dev, st->st_ino);

	if (!fact)
		return error_nomem(err);
	if (!fact->path) {
		fact->path = arena_strdup(&list->arena, path);
		if (!fact->path)
			return error_nomem(err);
		fact->dev = st->st_dev;
		fact->ino = st->st_ino;
		fact->size = st->st_size;
		fact->mode = st->st_mode;
		fact->mtime_sec = st->st_mtim.tv_sec;
		fact->mtime_nsec = st->st_mtim.tv_nsec;
	}
	fact->deleted |= deleted;
	fact->written |= written;
	fact->mapped |= written && mapped;
	if (reg) {
		Img__RegFile **regs =
			arena_grow(&list->arena, fact->regs, fact->n_regs, sizeof(*regs));

		if (!regs)
			return error_nomem(err);
		regs[fact->n_regs++] = reg;
		fact->regs = regs;
	}
	return 0;
}

/* One note segment. */
static size_t notes_build_id(const unsigned char *data, size_t len, unsigned char *ret, size_t max)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note; /* both classes have the same */
		uint64_t name, desc;

		memcpy(&note, data + at, sizeof(note));
		at += sizeof(note);
		name = ((uint64_t)note.n_namesz + 3) & ~3ULL;
		desc = ((uint64_t)note.n_descsz + 3) & ~3ULL;
		if (name > len - at || note.n_descsz > len - at - name)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(data + at, "GNU", 4) == 0) {
			if (note.n_descsz > max)
				return 0;
			memcpy(ret, data + at + name, note.n_descsz);
			return note.n_descsz;
		}
		at += name;
		if (desc > len - at)
			return 0;
		at += desc;
	}
	return 0;
}

size_t elf_build_id(struct bytes elf, unsigned char *ret, size_t max)
{
	uint64_t phoff, offset, filesz;
	size_t phentsize, phnum, i;
	bool wide;

	if (elf.len < sizeof(Elf32_Ehdr) || memcmp(elf.data, ELFMAG, SELFMAG) != 0)
		return 0;
	wide = elf.data[EI_CLASS] == ELFCLASS64;
	if (wide) {
		Elf64_Ehdr head;

		if (elf.len < sizeof(head))
			return 0;
		memcpy(&head, elf.data, sizeof(head));
		phoff = head.e_phoff;
		phentsize = head.e_phentsize;
		phnum = head.e_phnum;
	} else {
		Elf32_Ehdr head;

		memcpy(&head, elf.data, sizeof(head));
		phoff = head.e_phoff;
		phentsize = head.e_phentsize;
		phnum = head.e_phnum;
	}
	if (phentsize < (wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return 0;
	for (i = 0; i < phnum; i++) {
		uint32_t type;
		size_t n;

		if (phoff > elf.len || (elf.len - phoff) / phentsize <= i)
			return 0;
		memcpy(&type, elf.data + phoff + i * phentsize, sizeof(type));
		if (type != PT_NOTE)
			continue;
		if (wide) {
			Elf64_Phdr ph;

			memcpy(&ph, elf.data + phoff + i * phentsize, sizeof(ph));
			offset = ph.p_offset;
			filesz = ph.p_filesz;
		} else {
			Elf32_Phdr ph;

			memcpy(&ph, elf.data + phoff + i * phentsize, sizeof(ph));
			offset = ph.p_offset;
			filesz = ph.p_filesz;
		}
		if (offset > elf.len)
			continue;
		n = notes_build_id(elf.data + offset, MIN(filesz, elf.len - offset), ret, max);
		if (n)
			return n;
	}
	return 0;
}

/* The same file still, by its name in the container? */
static int fact_open(const struct file_fact *fact, int root_dir, struct stat *st)
{
	struct open_how how = { .flags = O_RDONLY | O_NOATIME | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	int fd = syscall(SYS_openat2, root_dir, fact->path, &how, sizeof(how));

	if (fd < 0)
		return -1;
	if (fstat(fd, st) < 0 || st->st_dev != fact->dev || st->st_ino != fact->ino ||
	    (uint64_t)st->st_size != fact->size || st->st_mtim.tv_sec != fact->mtime_sec ||
	    st->st_mtim.tv_nsec != fact->mtime_nsec) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The build-id into every entry of the file, as words with zeros behind, CRIU's way. */
static int fact_tell_entries(const struct file_fact *fact, struct image_set *set, struct error *err)
{
	size_t i, words = (fact->n_build_id + 3) / 4;
	uint32_t *id = arena_array(&set->arena, uint32_t, words);

	if (!id)
		return error_nomem(err);
	memcpy(id, fact->build_id, fact->n_build_id);
	for (i = 0; i < fact->n_regs; i++) {
		fact->regs[i]->build_id = id;
		fact->regs[i]->n_build_id = words;
	}
	return 0;
}

/*
 * Read a mapped file. The program may cut it short meanwhile; touching the mapping would then be
 * SIGBUS for us, but a copy made by the kernel only fails.
 */
static bool fact_read(const unsigned char *map, size_t off, unsigned char *block, size_t len)
{
	return process_vm_read(getpid(), (uintptr_t)map + off, block, len, NULL) == 0;
}

static bool fact_hash_rest(const unsigned char *map, size_t size, unsigned char *block,
			   unsigned char *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	size_t off, len;

	for (off = 0; good && off < size; off += len) {
		len = MIN(FACT_BLOCK, size - off);
		good = fact_read(map, off, block, len) && EVP_DigestUpdate(ctx, block, len) == 1;
	}
	good = good && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

static int fact_finish(struct file_fact *fact, struct image_set *set, int root_dir,
		       unsigned char *block, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct bytes head = { 0 };
	struct stat st;
	void *map;

	if (fact->deleted || fact->written)
		return 0;
	if (fact->size == 0) {
		fact->hashed = EVP_Digest("", 0, fact->sha256, NULL, EVP_sha256(), NULL) == 1;
		return 0;
	}
	fd = fact_open(fact, root_dir, &st);
	if (fd < 0)
		return 0;
	map = mmap(NULL, fact->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return 0; /* a file system that cannot */

	head = (struct bytes){ block, MIN(FACT_BLOCK, fact->size) };
	if (fact_read(map, 0, block, head.len)) {
		fact->n_build_id = elf_build_id(head, fact->build_id, sizeof(fact->build_id));
		if (!fact->n_build_id && fact->size <= FILE_FACTS_HASH_MAX)
			fact->hashed = fact_hash_rest(map, fact->size, block, fact->sha256);
	}
	munmap(map, fact->size);
	return fact->n_build_id ? fact_tell_entries(fact, set, err) : 0;
}

int file_facts_finish(struct file_facts_list *list, struct image_set *set, struct op *op,
		      int root_dir, struct error *err)
{
	_cleanup_free_ unsigned char *block = malloc(FACT_BLOCK);
	size_t i;
	int r;

	if (!block)
		return error_nomem(err);
	for (i = 0; i < list->n_facts; i++) {
		r = op_cancelled(op, err);
		if (r < 0)
			return r;
		r = fact_finish(&list->facts[i], set, root_dir, block, err);
		if (r < 0)
			return error_while(err, r, "identifying %s", list->facts[i].path);
	}
	return 0;
}
