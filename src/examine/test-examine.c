// SPDX-License-Identifier: Apache-2.0
/*
 * test-examine: a small archive made here is told of correctly, and so are damaged and hostile
 * ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "examine/inspect.h"
#include "examine/memory.h"
#include "examine/namespace.h"

#define ARGS_AT 0x7ffc00001f80ULL /* so that the words cross the end of a page */

struct fixture {
	struct image_set set; /* what goes into the archive */
	struct buf tar;
	struct examine x;
	json_object *doc;
	unsigned char pages[3 * 4096];
};

static void member(struct fixture *f, const char *name, const void *data, size_t len)
{
	struct tar_member m = {
		.name = name, .linkname = "", .type = '0', .mode = 0600, .size = len
	};

	assert_int_equal(tar_header(&m, f->tar.len, 0, &f->tar, NULL), 0);
	assert_int_equal(buf_append(&f->tar, data, len, NULL), 0);
	assert_int_equal(buf_reserve(&f->tar, TAR_BLOCK, NULL), 0);
	memset(f->tar.data + f->tar.len, 0, tar_padding(len));
	f->tar.len += tar_padding(len);
}

static void *make(struct fixture *f, size_t size, void (*init)(void *))
{
	void *m = arena_alloc(&f->set.arena, size);

	assert_non_null(m);
	init(m);
	return m;
}

#define MAKE(f, type, lower) ((type *)make(f, sizeof(type), (void (*)(void *))img__##lower##__init))

static void add(struct fixture *f, enum image_kind kind, uint64_t id, void *msg)
{
	assert_int_equal(image_add(&f->set, kind, id, msg, (struct bytes){ 0 }, NULL), 0);
}

static void add_process(struct fixture *f, uint32_t pid, uint32_t ppid, const char *comm)
{
	Img__Pstree *node = MAKE(f, Img__Pstree, pstree);
	Img__Core *core = MAKE(f, Img__Core, core);
	Img__TaskKobjIds *ids = MAKE(f, Img__TaskKobjIds, task_kobj_ids);

	node->pid = pid;
	node->ppid = ppid;
	node->n_threads = 1;
	node->threads = arena_array(&f->set.arena, uint32_t, 1);
	node->threads[0] = pid;
	core->mtype = IMG__CORE__MARCH__X86_64;
	core->tc = MAKE(f, Img__TaskCore, task_core);
	core->tc->task_state = 1;
	core->tc->comm = (char *)comm;
	ids->files_id = pid;
	add(f, IMAGE_PSTREE, 0, node);
	add(f, IMAGE_CORE, pid, core);
	add(f, IMAGE_IDS, pid, ids);
}

static void add_memory(struct fixture *f, uint32_t pid)
{
	static const char args[] = "redis-server\0--evil=\033[31m\0";
	Img__PagemapHead *head = MAKE(f, Img__PagemapHead, pagemap_head);
	Img__Pagemap *map;
	Img__Mm *mm = MAKE(f, Img__Mm, mm);

	mm->mm_arg_start = ARGS_AT + 0x78;
	mm->mm_arg_end = mm->mm_arg_start + sizeof(args) - 1;
	mm->exe_file_id = 100;
	add(f, IMAGE_MM, pid, mm);
	head->pages_id = 7;
	add(f, IMAGE_PAGEMAP, pid, head);
	map = MAKE(f, Img__Pagemap, pagemap);
	map->vaddr = 0x10000;
	map->has_nr_pages = true;
	map->nr_pages = 1;
	add(f, IMAGE_PAGEMAP, pid, map);
	map = MAKE(f, Img__Pagemap, pagemap);
	map->vaddr = ARGS_AT & ~4095ULL;
	map->has_nr_pages = true;
	map->nr_pages = 2;
	map->has_flags = true;
	map->flags = 4;
	add(f, IMAGE_PAGEMAP, pid, map);
	memset(f->pages, 'A', 4096);
	memcpy(f->pages + 4096 + (mm->mm_arg_start & 4095), args, sizeof(args) - 1);
	assert_int_equal(image_add(&f->set, IMAGE_PAGES, 7, NULL,
				   (struct bytes){ f->pages, sizeof(f->pages) }, NULL),
			 0);
}

static Img__FileEntry *add_file(struct fixture *f, Img__FdTypes type, uint32_t id, uint32_t pid,
				uint32_t fd)
{
	Img__FileEntry *e = MAKE(f, Img__FileEntry, file_entry);
	Img__Fdinfo *info = MAKE(f, Img__Fdinfo, fdinfo);

	e->type = info->type = type;
	e->id = info->id = id;
	info->fd = fd;
	add(f, IMAGE_FDINFO, pid, info);
	return e;
}

static void add_files(struct fixture *f)
{
	Img__FileEntry *e = add_file(f, IMG__FD_TYPES__REG, 100, 1, 3);
	Img__RegFile *reg = MAKE(f, Img__RegFile, reg_file);
	Img__InetSk *isk = MAKE(f, Img__InetSk, inet_sk);
	Img__TcpStream *tcp = MAKE(f, Img__TcpStream, tcp_stream);
	static const unsigned char queue[3] = "abc";

	reg->id = 100;
	reg->flags = 02 | 02000;
	reg->pos = 17;
	reg->name = (char *)"/usr/bin/redis\xe2\x80\xae";
	reg->fown = MAKE(f, Img__Fown, fown);
	e->reg = reg;
	add(f, IMAGE_FILES, 0, e);

	e = add_file(f, IMG__FD_TYPES__INETSK, 101, 1, 4);
	isk->id = 101;
	isk->ino = 55;
	isk->family = 2;
	isk->type = 1;
	isk->proto = 6;
	isk->state = 1;
	isk->src_port = 6379;
	isk->dst_port = 4711;
	isk->n_src_addr = isk->n_dst_addr = 1;
	isk->src_addr = arena_array(&f->set.arena, uint32_t, 1);
	isk->dst_addr = arena_array(&f->set.arena, uint32_t, 1);
	isk->src_addr[0] = 0x0100007f;
	isk->dst_addr[0] = 0x0200000a;
	isk->fown = MAKE(f, Img__Fown, fown);
	isk->opts = MAKE(f, Img__SkOpts, sk_opts);
	e->isk = isk;
	add(f, IMAGE_FILES, 0, e);
	tcp->inq_len = 2;
	tcp->outq_len = 1;
	assert_int_equal(image_add(&f->set, IMAGE_TCP_STREAM, 55, &tcp->base,
				   (struct bytes){ queue, 3 }, NULL),
			 0);
	/* A descriptor that leads nowhere. */
	(void)add_file(f, IMG__FD_TYPES__PIPE, 999, 1, 5);
}

static void pack(struct fixture *f)
{
	static const char config[] =
		"{\"id\":\"0123\",\"name\":\"k8s_box\",\"rootfsImageName\":\"redis:7\","
		"\"runtime\":\"runc\",\"createdTime\":\"2026-01-01T00:00:00Z\"}";
	static const char spec[] = "{\"annotations\":{\"io.container.manager\":\"cri-o\","
				   "\"io.kubernetes.container.name\":\"box\"}}";
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	char name[128], file[160];
	struct image *image;
	size_t kind;

	member(f, "config.dump", config, strlen(config));
	member(f, "spec.dump", spec, strlen(spec));
	for (kind = 0; kind < IMAGE_KIND_COUNT; kind++)
		for (image = f->set.images[kind]; image; image = image->next) {
			bytes.len = 0;
			assert_int_equal(image_serialize(image, &bytes, NULL), 0);
			image_name(kind, image->id, name, sizeof(name));
			snprintf(file, sizeof(file), "checkpoint/%s", name);
			member(f, file, bytes.data, bytes.len);
		}
	member(f, "rootfs-diff.tar", f->pages, 1024);
	memset(f->pages + sizeof(f->pages) - 1024, 0, 1024);
	assert_int_equal(buf_append(&f->tar, f->pages + sizeof(f->pages) - 1024, 1024, NULL), 0);
}

static void inspect(struct fixture *f, size_t len)
{
	json_object_put(f->doc);
	f->doc = NULL;
	examine_deinit(&f->x);
	assert_int_equal(examine_parse(&f->x, (struct bytes){ f->tar.data, len }, NULL), 0);
	assert_int_equal(examine_load(&f->x, NULL), 0);
	f->doc = inspect_json(&f->x);
	assert_non_null(f->doc);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->x = EXAMINE_INIT;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	json_object_put(f->doc);
	examine_deinit(&f->x);
	image_set_deinit(&f->set);
	buf_deinit(&f->tar);
	free(f);
	return 0;
}

static void no_problems(const struct fixture *f)
{
	const struct image_problem *p;

	for (p = f->x.set.problems; p; p = p->next)
		fail_msg("%s: %s", p->name, p->text);
}

static json_object *item(json_object *object, const char *path, size_t i)
{
	json_object *list = json_get(object, path);

	assert_true(json_object_is_type(list, json_type_array));
	assert_true(i < json_object_array_length(list));
	return json_object_array_get_idx(list, i);
}

static void tells_of_a_checkpoint(void **state)
{
	struct fixture *f = *state;
	json_object *p, *o;

	add_process(f, 1, 0, "redis");
	add_memory(f, 1);
	add_files(f);
	pack(f);
	inspect(f, f->tar.len);
	no_problems(f);
	assert_string_equal(json_text(f->doc, "container/name"), "box");
	assert_string_equal(json_text(f->doc, "container/engine"), "cri-o");
	assert_string_equal(json_text(f->doc, "container/image"), "redis:7");
	assert_int_equal(json_number(f->doc, "archive/rootfs_diff_bytes"), 1024);
	assert_int_equal(json_number(f->doc, "archive/pages_bytes"), 3 * 4096);
	assert_int_equal(json_number(f->doc, "memory/captured_bytes"), 3 * 4096);
	p = item(f->doc, "processes", 0);
	assert_string_equal(json_text(p, "comm"), "redis");
	assert_string_equal(json_text(p, "state"), "alive");
	assert_string_equal(json_object_get_string(item(p, "command_line", 0)), "redis-server");
	assert_string_equal(json_object_get_string(item(p, "command_line", 1)), "--evil=\033[31m");
	assert_string_equal(json_text(p, "exe"), "/usr/bin/redis\xe2\x80\xae");
	o = item(p, "files", 0);
	assert_int_equal(json_number(o, "fd"), 3);
	assert_string_equal(json_text(o, "kind"), "file");
	assert_int_equal(json_number(o, "pos"), 17);
	assert_string_equal(json_object_get_string(item(o, "flags", 0)), "O_RDWR");
	assert_string_equal(json_object_get_string(item(o, "flags", 1)), "O_APPEND");
	o = item(p, "files", 1);
	assert_string_equal(json_text(o, "target"),
			    "tcp 127.0.0.1:6379 -> 10.0.0.2:4711 established");
	assert_string_equal(json_text(item(p, "files", 2), "target"), "missing in the images");
	o = item(f->doc, "sockets", 0);
	assert_int_equal(json_number(o, "receive_queue_bytes"), 2);
	assert_int_equal(json_number(o, "send_queue_bytes"), 1);
	assert_int_equal(json_number(item(o, "holders", 0), "fd"), 4);
}

static void reads_memory(void **state)
{
	struct fixture *f = *state;
	struct memory_reader memory;
	char text[32] = "";

	add_process(f, 1, 0, "redis");
	add_memory(f, 1);
	pack(f);
	inspect(f, f->tar.len);
	assert_int_equal(memory_reader_open(&f->x, &f->x.tasks[0], true, &memory, NULL), 0);
	assert_int_equal(memory.n_runs, 2);
	assert_int_equal(memory_at(&memory, 0x10000).len, 4096);
	assert_int_equal(memory_at(&memory, 0x10fff).len, 1);
	assert_int_equal(memory_at(&memory, 0x11000).len, 0);
	assert_int_equal(memory_at(&memory, 0xffff).len, 0);
	assert_int_equal(memory_at(&memory, UINT64_MAX).len, 0);
	assert_int_equal(memory_read(&memory, ARGS_AT + 0x78, text, 12), 12);
	assert_string_equal(text, "redis-server");
	assert_int_equal(memory_read(&memory, 0x10ff0, text, sizeof(text)), 16);
	memory_reader_deinit(&memory);
}

static void survives_contradictions(void **state)
{
	struct fixture *f = *state;
	Img__Pagemap *map = MAKE(f, Img__Pagemap, pagemap);

	/* Each is the other's parent; one has more pages than there are. */
	add_process(f, 1, 2, "a");
	add_process(f, 2, 1, "b");
	add_process(f, 2, 2, "b");
	add_memory(f, 1);
	map->vaddr = UINT64_MAX - 4095;
	map->has_nr_pages = true;
	map->nr_pages = UINT64_MAX / 4096;
	add(f, IMAGE_PAGEMAP, 1, map);
	pack(f);
	inspect(f, f->tar.len);
	assert_int_equal(json_object_array_length(json_get(f->doc, "processes")), 3);
	assert_true(json_object_array_length(json_get(f->doc, "problems")) > 0);
}

static void survives_every_cut(void **state)
{
	struct fixture *f = *state;
	size_t len;

	/* Of an archive that ends in its first member nothing is left. */
	member(f, "dump.log", "", 0);
	add_process(f, 1, 0, "redis");
	add_memory(f, 1);
	add_files(f);
	pack(f);
	for (len = f->tar.len; len > TAR_BLOCK; len -= len > 40000 ? 1009 : 97) {
		inspect(f, len);
		assert_true(json_object_is_type(json_get(f->doc, "problems"), json_type_array));
	}
	assert_true(json_object_array_length(json_get(f->doc, "problems")) > 0);
}

static void reads_addresses(void **state)
{
	static const unsigned char dump[] = {
		0x22, 0x12, 0x36, 0x47,				 /* what ip(8) puts first */
		32,   0,    0,	  0,	20, 0, 2, 0, 0, 0, 0, 0, /* nlmsghdr: RTM_NEWADDR */
		0,    0,    0,	  0,				 /* its port */
		2,    24,   0,	  0,	3,  0, 0, 0, /* ifaddrmsg: inet, /24, device 3 */
		8,    0,    2,	  0,	10, 1, 2, 3, /* IFA_LOCAL */
	};
	json_object *list = namespace_addresses_json((struct bytes){ dump, sizeof(dump) });

	(void)state;
	assert_int_equal(json_object_array_length(list), 1);
	assert_string_equal(json_text(json_object_array_get_idx(list, 0), "address"),
			    "10.1.2.3/24");
	json_object_put(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_of_a_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_contradictions, setup, teardown),
		cmocka_unit_test_setup_teardown(survives_every_cut, setup, teardown),
		cmocka_unit_test(reads_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
