// SPDX-License-Identifier: Apache-2.0
/*
 * pages-dir: the pages images of a directory of images, as open files. Never reads a page.
 */
#include "restore/pages-dir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static int open_one(int dirfd, uint32_t id, struct pages_file *ret, struct error *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	char name[64];

	image_name(IMAGE_PAGES, id, name, sizeof(name));
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "opening %s", name);
	*ret = (struct pages_file){ .id = id, .size = (uint64_t)st.st_size };
	ret->fd = TAKE_FD(fd);
	return 0;
}

int pages_dir_open(struct image_set *set, int dirfd, struct pages_file **ret, size_t *ret_n,
		   struct error *err)
{
	const struct image *image;
	struct pages_file *files;
	size_t n = 0;
	int r;

	for (image = set->images[IMAGE_PAGES]; image; image = image->next)
		n++;
	files = arena_array(&set->arena, struct pages_file, n + 1);
	if (!files)
		return error_nomem(err);
	n = 0;
	for (image = set->images[IMAGE_PAGES]; image; image = image->next) {
		r = open_one(dirfd, image->id, &files[n], err);
		if (r < 0) {
			pages_dir_close(files, n);
			return r;
		}
		n++;
	}
	*ret = files;
	*ret_n = n;
	return 0;
}

void pages_dir_close(struct pages_file *files, size_t n)
{
	while (n-- > 0)
		(void)close(files[n].fd);
}
