// SPDX-License-Identifier: Apache-2.0
/*
 * tar: see tar.h. POSIX.1-2008 pax interchange format; GNU base-256 numbers and 'L' names when
 * reading.
 */
#include "archive/tar.h"

#include <errno.h>
#include <string.h>

/* Field offsets of a ustar header. */
enum {
	F_NAME = 0,
	F_MODE = 100,
	F_UID = 108,
	F_GID = 116,
	F_SIZE = 124,
	F_MTIME = 136,
	F_CHKSUM = 148,
	F_TYPE = 156,
	F_LINK = 157,
	F_MAGIC = 257,
	F_VERSION = 263,
	F_PREFIX = 345,
};

static void put_octal(unsigned char *field, size_t width, uint64_t value)
{
	size_t i;

	if (width > 8 && value >> 33) { /* does not fit 11 octal digits: GNU base-256 */
		for (i = 0; i < width; i++)
			field[width - 1 - i] = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
		field[0] = 0x80;
		return;
	}
	field[width - 1] = '\0';
	for (i = width - 1; i-- > 0; value >>= 3)
		field[i] = (unsigned char)('0' + (value & 7));
}

static unsigned int checksum(const unsigned char *block)
{
	unsigned int sum = 0, i;

	for (i = 0; i < TAR_BLOCK; i++)
		sum += i >= F_CHKSUM && i < F_CHKSUM + 8 ? ' ' : block[i];
	return sum;
}

static int put_block(const struct tar_member *m, struct buf *out, struct error *err)
{
	unsigned char block[TAR_BLOCK] = { 0 };

	memcpy(block + F_NAME, m->name, strlen(m->name));
	put_octal(block + F_MODE, 8, m->mode & 07777);
	put_octal(block + F_UID, 8, m->uid);
	put_octal(block + F_GID, 8, m->gid);
	put_octal(block + F_SIZE, 12, m->size);
	put_octal(block + F_MTIME, 12, m->mtime > 0 ? (uint64_t)m->mtime : 0);
	block[F_TYPE] = (unsigned char)m->type;
	memcpy(block + F_MAGIC,
	       "ustar\0"
	       "00",
	       8);
	put_octal(block + F_CHKSUM, 7, checksum(block));
	block[F_CHKSUM + 7] = ' ';
	return buf_append(out, block, sizeof(block), err);
}

/* A PAX header whose only record is a comment, blocks long in all. */
static int put_filler(uint64_t blocks, int64_t mtime, struct buf *out, struct error *err)
{
	struct tar_member pax = {
		.name = "././@PaxHeader", .type = 'x', .mode = 0644, .mtime = mtime
	};
	size_t fill = (size_t)(blocks - 1) * TAR_BLOCK, start;
	int r;

	pax.size = fill;
	r = put_block(&pax, out, err);
	if (r < 0)
		return r;
	start = out->len;
	/* "<length> comment=<text>\n", the length counts itself */
	r = buf_printf(out, err, "%zu comment=page alignment", fill);
	if (r < 0)
		return r;
	r = buf_reserve(out, fill, err);
	if (r < 0)
		return r;
	memset(out->data + out->len, ' ', fill - (out->len - start));
	out->len = start + fill;
	out->data[out->len - 1] = '\n';
	out->data[out->len] = '\0';
	return 0;
}

int tar_header(const struct tar_member *member, uint64_t pos, uint64_t align, struct buf *out,
	       struct error *err)
{
	uint64_t data = pos + TAR_BLOCK, blocks;
	int r;

	if (strlen(member->name) > 99)
		return error_set(err, ERROR_INTERNAL, ENAMETOOLONG, "member name %s is too long",
				 member->name);
	if (align && data % align) {
		blocks = (align - data % align) / TAR_BLOCK;
		if (blocks < 2) /* a PAX header is two blocks at least */
			blocks += align / TAR_BLOCK;
		r = put_filler(blocks, member->mtime, out, err);
		if (r < 0)
			return r;
	}
	return put_block(member, out, err);
}

uint64_t tar_padding(uint64_t size)
{
	return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

static int get_number(const unsigned char *field, size_t width, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		if (field[0] != 0x80)
			return -EINVAL; /* negative or over 64 bits */
		for (i = 1; i < width; i++) {
			if (value >> 56)
				return -EINVAL;
			value = value << 8 | field[i];
		}
		*ret = value;
		return 0;
	}
	while (i < width && field[i] == ' ')
		i++;
	for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
		value = value << 3 | (uint64_t)(field[i] - '0');
	if (i < width && field[i] != ' ' && field[i] != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

/* What PAX records and GNU long names say about the member behind them. */
struct extension {
	const char *name, *linkname;
	bool has_size;
	uint64_t size;
};

static int pax_number(const char *value, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	return errno || end == value || (*end && *end != '.') ? -EINVAL : 0;
}

static int pax_record(char *record, struct extension *ext)
{
	char *value = strchr(record, '=');

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	if (strcmp(record, "path") == 0)
		ext->name = value;
	else if (strcmp(record, "linkpath") == 0)
		ext->linkname = value;
	else if (strcmp(record, "size") == 0) {
		ext->has_size = true;
		return pax_number(value, &ext->size);
	}
	return 0;
}

static int pax_parse(struct bytes data, struct arena *arena, struct extension *ext)
{
	char *text = arena_memdup(arena, data.data, data.len);
	size_t pos = 0, len, digits;
	char *end;

	if (!text)
		return -ENOMEM;
	while (pos < data.len) {
		errno = 0;
		len = strtoul(text + pos, &end, 10);
		digits = (size_t)(end - (text + pos));
		if (errno || !digits || *end != ' ' || len > data.len - pos || len < digits + 3 ||
		    text[pos + len - 1] != '\n')
			return -EINVAL;
		text[pos + len - 1] = '\0';
		if (pax_record(end + 1, ext) < 0)
			return -EINVAL;
		pos += len;
	}
	return 0;
}

static bool all_zero(const unsigned char *block)
{
	size_t i;

	for (i = 0; i < TAR_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

static char *name_of(struct arena *arena, const unsigned char *block)
{
	const char *prefix = (const char *)block + F_PREFIX, *name = (const char *)block + F_NAME;

	if (memcmp(block + F_MAGIC, "ustar\0", 6) == 0 && prefix[0])
		return arena_printf(arena, "%.155s/%.100s", prefix, name);
	return arena_printf(arena, "%.100s", name);
}

static int header_parse(struct bytes data, uint64_t pos, struct arena *arena, struct tar_member *m,
			struct error *err)
{
	const unsigned char *block = data.data + pos;
	uint64_t sum, mode, mtime;

	if (get_number(block + F_CHKSUM, 8, &sum) < 0 || sum != checksum(block))
		return error_set(err, ERROR_INPUT, EINVAL,
				 "tar header at offset %llu has a wrong checksum",
				 (unsigned long long)pos);
	if (get_number(block + F_SIZE, 12, &m->size) < 0 ||
	    get_number(block + F_MODE, 8, &mode) < 0 || get_number(block + F_UID, 8, &m->uid) < 0 ||
	    get_number(block + F_GID, 8, &m->gid) < 0 ||
	    get_number(block + F_MTIME, 12, &mtime) < 0)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "tar header at offset %llu holds a number that is none",
				 (unsigned long long)pos);
	m->mode = (uint32_t)mode;
	m->mtime = (int64_t)mtime;
	m->type = block[F_TYPE] ? (char)block[F_TYPE] : '0';
	m->offset = pos + TAR_BLOCK;
	m->name = name_of(arena, block);
	m->linkname = arena_printf(arena, "%.100s", (const char *)block + F_LINK);
	return m->name && m->linkname ? 0 : error_nomem(err);
}

/* Data and padding of a member lie inside the archive? Moves *pos behind them. */
static int skip_data(struct bytes data, const struct tar_member *m, uint64_t *pos,
		     struct error *err)
{
	uint64_t room = data.len - m->offset;

	if (m->size > room)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "the archive ends in the middle of %s: %llu bytes are missing",
				 m->name, (unsigned long long)(m->size - room));
	*pos = m->offset + m->size + MIN(tar_padding(m->size), room - m->size);
	return 0;
}

static int extension_parse(struct bytes data, const struct tar_member *m, struct arena *arena,
			   struct extension *ext, struct error *err)
{
	struct bytes body = { data.data + m->offset, (size_t)m->size };
	int r = 0;

	if (m->size > TAR_PAX_MAX)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "tar extension at offset %llu is too long",
				 (unsigned long long)m->header);
	if (m->type == 'x')
		r = pax_parse(body, arena, ext);
	else if (m->type == 'L')
		r = (ext->name = arena_memdup(arena, body.data, body.len)) ? 0 : -ENOMEM;
	else if (m->type == 'K')
		r = (ext->linkname = arena_memdup(arena, body.data, body.len)) ? 0 : -ENOMEM;
	if (r == -ENOMEM)
		return error_nomem(err);
	if (r < 0)
		return error_set(err, ERROR_INPUT, EINVAL,
				 "tar extension at offset %llu is damaged",
				 (unsigned long long)m->header);
	return 0;
}

static int apply(struct tar_member *m, const struct extension *ext, struct error *err)
{
	size_t len;

	if (ext->name)
		m->name = ext->name;
	if (ext->linkname)
		m->linkname = ext->linkname;
	if (ext->has_size)
		m->size = ext->size;
	len = strlen(m->name);
	while (len > 1 && m->name[len - 1] == '/')
		((char *)m->name)[--len] = '\0'; /* ours: from the arena */
	if (len > TAR_NAME_MAX)
		return error_set(err, ERROR_INPUT, EINVAL, "a member's name is over %u bytes",
				 TAR_NAME_MAX);
	if (m->type == '1' || m->type == '2' || m->type == '5')
		m->size = 0; /* links and directories carry no data, whatever they say */
	return 0;
}

int tar_next(struct bytes data, struct arena *arena, uint64_t *pos, struct tar_member *ret,
	     struct error *err)
{
	struct extension ext = { 0 };
	struct tar_member m = { 0 };
	uint64_t start = *pos;
	int r;

	for (;;) {
		if (*pos > data.len || data.len - *pos < TAR_BLOCK)
			return error_set(
				err, ERROR_INPUT, EINVAL,
				"the archive is cut off at offset %zu: its end marker is missing",
				data.len);
		if (all_zero(data.data + *pos)) {
			if (start != *pos)
				return error_set(err, ERROR_INPUT, EINVAL,
						 "the archive ends behind a tar extension");
			return 1;
		}
		r = header_parse(data, *pos, arena, &m, err);
		if (r < 0)
			return r;
		m.header = *pos;
		if (m.type != 'x' && m.type != 'L' && m.type != 'K' && m.type != 'g')
			break;
		r = skip_data(data, &m, pos, err);
		if (r < 0)
			return r;
		r = extension_parse(data, &m, arena, &ext, err);
		if (r < 0)
			return r;
	}
	r = apply(&m, &ext, err);
	if (r < 0)
		return r;
	m.header = start;
	r = skip_data(data, &m, pos, err);
	if (r < 0)
		return r;
	*ret = m;
	return 0;
}
