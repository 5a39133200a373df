// SPDX-License-Identifier: Apache-2.0
/*
 * test-image: images that stock CRIU 4.1 wrote, images that we make, and damaged ones.
 *
 * With AMBER_IMAGE_DIR set to a directory of CRIU images, every one of them must survive being read
 * and written byte for byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fd.h"
#include "image/image.h"
#include "image/schema.h"

#define BYTES(s) ((struct bytes){ (const unsigned char *)(s), sizeof(s) - 1 })

struct vector {
	const char *name;
	struct bytes data;
	size_t n_entries;
};

static const char bytes_inventory[] =
	"\x16\x31\x31\x58\x1e\0\0\0\x08\x02\x10\x01\x1a\x12\x08\x01\x10\x01\x18\x01\x20\x01\x28\x01"
	"\x30\x02\x38\x03\x40\x04\x48\x06\x20\x01\x28\x01\x30\0";
static const char bytes_pstree[] =
	"\x19\x43\x56\x54\x30\x30\x27\x50\x0c\0\0\0\x08\x01\x10\0\x18\x01\x20\x01\x28\x01\x28\x03"
	"\x0a\0\0\0\x08\x04\x10\x01\x18\x01\x20\x01\x28\x04";
static const char bytes_sem[] =
	"\x19\x43\x56\x54\x19\x30\x57\x59\x13\0\0\0\x0a\x0f\x08\x4e\x10\0\x18\0\x20\0\x28\0\x30\xb6"
	"\x03\x38\0\x10\x03\0\0\x05\0\0\0\0\0";
static const char bytes_msg[] =
	"\x19\x43\x56\x54\x37\x37\x45\x55\x17\0\0\0\x0a\x0f\x08\x4d\x10\0\x18\0\x20\0\x28\0\x30\xb6"
	"\x03\x38\0\x10\x80\x80\x01\x18\x02\x04\0\0\0\x08\x03\x10\x0bmessage "
	"one\0\0\0\0\0\x04\0\0\0"
	"\x08\x04\x10\x05other\0\0\0";
static const char bytes_shm[] =
	"\x19\x43\x56\x54\x44\x30\x28\x46\x16\0\0\0\x0a\x0f\x08\x4f\x10\0\x18\0\x20\0\x28\0\x30\xb6"
	"\x03\x38\0\x10\x91\x4e\x18\x01";
static const char bytes_pipes[] = "\x19\x43\x56\x54\x09\x37\x45\x56\x0a\0\0\0\x08\xb7\xe7\x01\x10"
				  "\x0a\x18\x80\x80\x04hello pipe";

static const struct vector vectors[] = {
	{ "inventory.img", BYTES(bytes_inventory), 1 },
	{ "pstree.img", BYTES(bytes_pstree), 2 },
	{ "ipcns-sem-11.img", BYTES(bytes_sem), 1 },
	{ "ipcns-msg-11.img", BYTES(bytes_msg), 3 },
	{ "ipcns-shm-11.img", BYTES(bytes_shm), 1 },
	{ "pipes-data.img", BYTES(bytes_pipes), 1 },
	{ "route-3.img", BYTES("raw, whatever it is"), 1 },
};

static struct image *only(const struct image_set *set, const char *name)
{
	enum image_kind kind;
	uint64_t id;

	assert_true(image_parse_name(name, &kind, &id));
	return image_find(set, kind, id);
}

static void assert_same(const struct image *image, struct bytes data)
{
	_cleanup_buf_ struct buf buf = BUF_INIT;

	assert_int_equal(image_serialize(image, &buf, NULL), 0);
	assert_int_equal(buf.len, data.len);
	assert_memory_equal(buf.data, data.data, data.len);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "core-01.img",
					   "core-+1.img",
					   "core-.img",
					   "core-1",
					   "core-1.img.img",
					   "Core-1.img",
					   "core--1.img",
					   "parent",
					   "core-18446744073709551616.img",
					   "stats-dump.img",
					   "",
					   "ghost-file-1G.img",
					   "ghost-file-A.img",
					   "core- 1.img" };
	enum image_kind kind;
	char name[64];
	uint64_t id;

	for (unsigned int i = 0; i < IMAGE_KIND_COUNT; i++) {
		uint64_t want = strchr(image_types[i].name, '%') ? 0xfedcba9876543210 : 0;

		image_name(i, want, name, sizeof(name));
		assert_true(image_parse_name(name, &kind, &id));
		assert_int_equal(kind, i);
		assert_int_equal(id, want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(image_parse_name(bad[i], &kind, &id));
	image_name(IMAGE_GHOST_FILE, 26, name, sizeof(name));
	assert_string_equal(name, "ghost-file-1a.img");
	image_name(IMAGE_TMPFS_DEV, 26, name, sizeof(name));
	assert_string_equal(name, "tmpfs-dev-26.tar.gz.img");
	image_name(IMAGE_STATS_DUMP, 0, name, sizeof(name));
	assert_string_equal(name, "stats-dump");
}

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct image_set set = IMAGE_SET_INIT;
		struct error err = ERROR_INIT;
		struct image *image;

		assert_int_equal(image_parse(&set, vectors[i].name, vectors[i].data, &err), 0);
		image = only(&set, vectors[i].name);
		assert_non_null(image);
		assert_int_equal(image->n_entries, vectors[i].n_entries);
		assert_same(image, vectors[i].data);
		assert_int_equal(image_parse(&set, vectors[i].name, vectors[i].data, &err),
				 -EEXIST);
		assert_int_equal(image_parse(&set, "dump.log", vectors[i].data, &err), 1);
		image_set_deinit(&set);
	}
}

static void test_values(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	const Img__Inventory *inventory;
	const Img__IpcMsgBody *body;
	const struct image *image;
	const Img__Pstree *second;

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_int_equal(image_parse(&set, vectors[i].name, vectors[i].data, NULL), 0);
	inventory = image_single(&set, IMAGE_INVENTORY, 0);
	assert_int_equal(inventory->img_version, 2);
	assert_int_equal(inventory->root_ids->mnt_ns_id, 6);
	second = image_message(image_find(&set, IMAGE_PSTREE, 0), 1);
	assert_int_equal(second->pid, 4);
	assert_null(image_message(image_find(&set, IMAGE_PSTREE, 0), 2));
	image = image_find(&set, IMAGE_IPC_MSG, 11);
	body = image_message(image, 2);
	assert_int_equal(body->mtype, 4);
	assert_memory_equal(image->entries[1].extra.data, "message one", 11);
	assert_int_equal(image->entries[1].extra.len, 11);
	image = image_find(&set, IMAGE_IPC_SEM, 11);
	assert_int_equal(image->entries[0].extra.len, 6);
	assert_null(image_find(&set, IMAGE_IPC_SEM, 12));
	assert_null(image_single(&set, IMAGE_MM, 1));
	image_set_deinit(&set);
}

/* A file cut anywhere is damaged or whole up to an entry's end; it never reads beyond its bytes. */
static void test_truncation(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		size_t last = 0;

		for (size_t len = 0; len < vectors[i].data.len; len++) {
			_cleanup_free_ unsigned char *copy = malloc(len ? len : 1);
			struct image_set set = IMAGE_SET_INIT;
			struct error err = ERROR_INIT;
			const struct image *image;
			int r;

			memcpy(copy, vectors[i].data.data, len);
			r = image_parse(&set, vectors[i].name, (struct bytes){ copy, len }, &err);
			assert_true(r == 0 || r == -EINVAL);
			image = only(&set, vectors[i].name);
			assert_non_null(image);
			assert_true(image->n_entries >= last &&
				    image->n_entries <= vectors[i].n_entries);
			last = image->n_entries;
			if (r)
				assert_non_null(strstr(err.text, vectors[i].name));
			else
				assert_same(image, (struct bytes){ copy, len });
			image_set_deinit(&set);
		}
	}
}

static void add_ghosts(struct image_set *set)
{
	Img__GhostFile *whole = img_new(set, Img__GhostFile, ghost_file);
	Img__GhostFile *pieces = img_new(set, Img__GhostFile, ghost_file);
	Img__GhostChunk *chunk = img_new(set, Img__GhostChunk, ghost_chunk);

	whole->mode = S_IFREG | 0600;
	assert_int_equal(
		image_add(set, IMAGE_GHOST_FILE, 10, &whole->base, BYTES("contents"), NULL), 0);
	pieces->has_chunks = pieces->chunks = true;
	pieces->has_size = true;
	pieces->size = 1 << 20;
	chunk->off = 4096;
	chunk->len = 5;
	assert_int_equal(
		image_add(set, IMAGE_GHOST_FILE, 11, &pieces->base, (struct bytes){ 0 }, NULL), 0);
	assert_int_equal(image_add(set, IMAGE_GHOST_FILE, 11, &chunk->base, BYTES("piece"), NULL),
			 0);
	assert_int_equal(image_add(set, IMAGE_GHOST_FILE, 11, &chunk->base, BYTES("other"), NULL),
			 0);
}

static void add_messages(struct image_set *set)
{
	Img__TcpStream *tcp = img_new(set, Img__TcpStream, tcp_stream);
	Img__SkPacket *packet = img_new(set, Img__SkPacket, sk_packet);
	Img__PagemapHead *head = img_new(set, Img__PagemapHead, pagemap_head);
	Img__Pagemap *run = img_new(set, Img__Pagemap, pagemap);
	Img__Stats *stats = img_new(set, Img__Stats, stats);
	Img__IpcShm *shm = img_new(set, Img__IpcShm, ipc_shm);
	Img__BpfmapData *map = img_new(set, Img__BpfmapData, bpfmap_data);

	tcp->inq_len = 2;
	tcp->outq_len = 3;
	assert_int_equal(image_add(set, IMAGE_TCP_STREAM, 0xabc, &tcp->base, BYTES("inout"), NULL),
			 0);
	packet->length = 4;
	assert_int_equal(image_add(set, IMAGE_SK_QUEUES, 0, &packet->base, BYTES("data"), NULL), 0);
	run->vaddr = 0x7fff00000000;
	run->has_nr_pages = true;
	run->nr_pages = 1ULL << 33;
	assert_int_equal(image_add(set, IMAGE_PAGEMAP, 7, &head->base, (struct bytes){ 0 }, NULL),
			 0);
	assert_int_equal(image_add(set, IMAGE_PAGEMAP, 7, &run->base, (struct bytes){ 0 }, NULL),
			 0);
	assert_int_equal(
		image_add(set, IMAGE_STATS_DUMP, 0, &stats->base, (struct bytes){ 0 }, NULL), 0);
	shm->desc = img_new(set, Img__IpcDesc, ipc_desc);
	shm->size = 5;
	assert_int_equal(image_add(set, IMAGE_IPC_SHM, 1, &shm->base, BYTES("12345"), NULL), 0);
	map->keys_bytes = 1;
	map->values_bytes = 2;
	assert_int_equal(image_add(set, IMAGE_BPFMAP_DATA, 0, &map->base, BYTES("kvv"), NULL), 0);
	assert_int_equal(image_touch(set, IMAGE_FDINFO, 5, NULL), 0);
}

/* What capture makes, written, read and written again. */
static void test_round_trip(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	unsigned int n = 0;

	add_ghosts(&set);
	add_messages(&set);
	for (unsigned int kind = 0; kind < IMAGE_KIND_COUNT; kind++) {
		for (const struct image *image = set.images[kind]; image; image = image->next) {
			_cleanup_buf_ struct buf buf = BUF_INIT;
			struct image_set again = IMAGE_SET_INIT;
			struct bytes data;
			char name[64];

			image_name(kind, image->id, name, sizeof(name));
			assert_int_equal(image_serialize(image, &buf, NULL), 0);
			data = (struct bytes){ buf.data, buf.len };
			assert_int_equal(image_parse(&again, name, data, NULL), 0);
			assert_int_equal(only(&again, name)->n_entries, image->n_entries);
			assert_same(only(&again, name), data);
			image_set_deinit(&again);
			n++;
		}
	}
	assert_int_equal(n, set.n_images);
	assert_int_equal(n, 9);
	image_set_deinit(&set);
}

static void test_many_images(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	const struct image *image;
	uint64_t i = 0;

	for (i = 0; i < 5000; i++)
		assert_int_equal(image_touch(&set, i % 2 ? IMAGE_CORE : IMAGE_MM, i, NULL), 0);
	assert_int_equal(image_touch(&set, IMAGE_CORE, 1, NULL), 0);
	assert_int_equal(set.n_images, 5000);
	for (i = 0; i < 5000; i++)
		assert_int_equal(image_find(&set, i % 2 ? IMAGE_CORE : IMAGE_MM, i)->id, i);
	for (i = 1, image = set.images[IMAGE_CORE]; image; image = image->next, i += 2)
		assert_int_equal(image->id, i);
	image_set_deinit(&set);
}

static void test_wrong_use(void **state)
{
	struct image_set set = IMAGE_SET_INIT;
	_cleanup_buf_ struct buf buf = BUF_INIT;
	struct error err = ERROR_INIT;
	Img__PipeData *data = img_new(&set, Img__PipeData, pipe_data);

	assert_int_equal(image_add(&set, IMAGE_CORE, 1, &data->base, (struct bytes){ 0 }, &err),
			 -EINVAL);
	assert_int_equal(image_add(&set, IMAGE_CORE, 1, NULL, (struct bytes){ 0 }, &err), -EINVAL);
	data->bytes = 4;
	assert_int_equal(image_add(&set, IMAGE_PIPES_DATA, 0, &data->base, BYTES("abc"), &err), 0);
	assert_int_equal(image_serialize(set.images[IMAGE_PIPES_DATA], &buf, &err), -EINVAL);
	image_set_deinit(&set);
}

/* cgroup.img whose groups lie inside each other, depth times. */
static void nested_groups(struct buf *buf, unsigned int depth)
{
	struct image_set set = IMAGE_SET_INIT;
	Img__CgController *controller = img_new(&set, Img__CgController, cg_controller);
	Img__Cgroup *cgroup = img_new(&set, Img__Cgroup, cgroup);
	Img__CgroupDir **list;

	controller->dirs = arena_array(&set.arena, Img__CgroupDir *, 1);
	controller->n_dirs = 1;
	list = controller->dirs;
	for (unsigned int i = 0; i < depth; i++) {
		list[0] = img_new(&set, Img__CgroupDir, cgroup_dir);
		list[0]->dir_name = arena_strdup(&set.arena, "d");
		if (i == depth - 1)
			break;
		list[0]->n_children = 1;
		list[0]->children = arena_array(&set.arena, Img__CgroupDir *, 1);
		list = list[0]->children;
	}
	cgroup->controllers = &controller;
	cgroup->n_controllers = 1;
	assert_int_equal(image_add(&set, IMAGE_CGROUP, 0, &cgroup->base, (struct bytes){ 0 }, NULL),
			 0);
	assert_int_equal(image_serialize(set.images[IMAGE_CGROUP], buf, NULL), 0);
	image_set_deinit(&set);
}

static void test_limits(void **state)
{
	static const char huge[] = "\x19\x43\x56\x54\x30\x30\x27\x50\xff\xff\xff\xff";
	static const char minus[] =
		"\x19\x43\x56\x54\x37\x37\x45\x55\x17\0\0\0\x0a\x0f\x08\x4d\x10\0"
		"\x18\0\x20\0\x28\0\x30\xb6\x03\x38\0\x10\x80\x80\x01\x18\xff\x7f";
	struct image_set set = IMAGE_SET_INIT;
	struct error err = ERROR_INIT;

	assert_int_equal(image_parse(&set, "pstree.img", BYTES(huge), &err), -EINVAL);
	assert_int_equal(image_parse(&set, "ipcns-msg-1.img", BYTES(minus), &err), -EINVAL);
	for (unsigned int depth = 90; depth < 110; depth++) {
		_cleanup_buf_ struct buf buf = BUF_INIT;
		struct image_set one = IMAGE_SET_INIT;
		int r;

		nested_groups(&buf, depth);
		r = image_parse(&one, "cgroup.img", (struct bytes){ buf.data, buf.len }, &err);
		assert_int_equal(r, depth + 2 <= IMAGE_DEPTH_MAX ? 0 : -EINVAL);
		image_set_deinit(&one);
	}
	image_set_deinit(&set);
	set.arena.limit = 4096;
	assert_int_equal(image_parse(&set, "pstree.img", BYTES(bytes_pstree), &err), 0);
	for (uint64_t i = 0;; i++) {
		char name[64];
		int r;

		image_name(IMAGE_IPC_SEM, i, name, sizeof(name));
		r = image_parse(&set, name, BYTES(bytes_sem), &err);
		assert_true(r == 0 || r == -ENOMEM);
		if (r)
			break;
	}
	assert_true(set.arena.used <= 4096);
	image_set_deinit(&set);
}

static void test_dir(void **state)
{
	char dir[] = "/tmp/amber-test-image-XXXXXX", path[128];
	struct image_set set = IMAGE_SET_INIT;
	_cleanup_close_ int dirfd = -1;
	struct error err = ERROR_INIT;
	struct image_map *map = NULL;

	assert_non_null(mkdtemp(dir));
	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_int_equal(fd_write_file(dirfd, vectors[i].name, O_CREAT, 0600,
					       vectors[i].data.data, vectors[i].data.len, NULL),
				 0);
	assert_int_equal(fd_write_file(dirfd, "mm-3.img", O_CREAT, 0600, "damaged", 7, NULL), 0);
	assert_int_equal(fd_write_file(dirfd, "dump.log", O_CREAT, 0600, "x", 1, NULL), 0);
	assert_int_equal(symlinkat("pstree.img", dirfd, "core-1.img"), 0);
	assert_int_equal(mkdirat(dirfd, "core-2.img", 0700), 0);
	assert_int_equal(fd_write_file(dirfd, "pages-1.img", O_CREAT, 0600, "p", 1, NULL), 0);
	snprintf(path, sizeof(path), "%s/pages-1.img", dir);
	assert_int_equal(truncate(path, 3 << 20), 0);

	assert_int_equal(image_set_load_dir(&set, dirfd, &map, &err), 0);
	assert_int_equal(set.n_images, ARRAY_SIZE(vectors) + 2);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		assert_same(only(&set, vectors[i].name), vectors[i].data);
	assert_int_equal(set.images[IMAGE_PAGES]->entries[0].extra.len, 3 << 20);
	assert_string_equal(set.problems->name, "core-1.img");
	assert_string_equal(set.problems->next->name, "core-2.img");
	assert_string_equal(set.problems->next->next->name, "mm-3.img");
	assert_null(set.problems->next->next->next);
	image_set_deinit(&set);
	image_map_free(map);

	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		unlinkat(dirfd, vectors[i].name, 0);
	unlinkat(dirfd, "mm-3.img", 0);
	unlinkat(dirfd, "dump.log", 0);
	unlinkat(dirfd, "core-1.img", 0);
	unlinkat(dirfd, "core-2.img", AT_REMOVEDIR);
	unlinkat(dirfd, "pages-1.img", 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_real_dir(void **state)
{
	const char *dir = getenv("AMBER_IMAGE_DIR");
	struct image_set set = IMAGE_SET_INIT;
	_cleanup_close_ int dirfd = -1;
	struct error err = ERROR_INIT;
	struct image_map *map = NULL;

	dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	assert_int_equal(image_set_load_dir(&set, dirfd, &map, &err), 0);
	for (const struct image_problem *p = set.problems; p; p = p->next)
		print_error("%s: %s\n", p->name, p->text);
	assert_null(set.problems);
	for (unsigned int kind = 0; kind < IMAGE_KIND_COUNT; kind++) {
		for (const struct image *image = set.images[kind]; image; image = image->next) {
			_cleanup_buf_ struct buf buf = BUF_INIT;
			char name[64];

			image_name(kind, image->id, name, sizeof(name));
			assert_int_equal(fd_read_file(dirfd, name, SIZE_MAX / 4, &buf, &err), 0);
			assert_same(image, (struct bytes){ buf.data, buf.len });
		}
	}
	print_message("%zu images are the same\n", set.n_images);
	image_set_deinit(&set);
	image_map_free(map);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_values),	   cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_many_images),
		cmocka_unit_test(test_wrong_use),  cmocka_unit_test(test_limits),
		cmocka_unit_test(test_dir),
	};
	static const struct CMUnitTest real[] = {
		cmocka_unit_test(test_real_dir),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	/* By hand, on any set that CRIU wrote; tests/interop does it in CI. */
	if (getenv("AMBER_IMAGE_DIR"))
		failed += cmocka_run_group_tests(real, NULL, NULL);
	return failed;
}
