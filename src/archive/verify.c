// SPDX-License-Identifier: Apache-2.0
/*
 * verify: see verify.h.
 */
#include "archive/verify.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "evidence/digest.h"

#define SUMS   "SHA256SUMS"
#define RECORD "amber.json"
#define WINDOW (16UL << 20) /* bytes hashed between two looks at the cancel flag */

struct verify {
	struct op *op;
	const struct archive_reader *a;
	struct archive_verdict *v;
	char (*digests)[DIGEST_HEX]; /* by member */
	bool *listed;		     /* by member: SHA256SUMS has a line for it */
	uint64_t total;
};

void archive_verdict_deinit(struct archive_verdict *verdict)
{
	arena_deinit(&verdict->arena);
	*verdict = ARCHIVE_VERDICT_INIT;
}

static int _printf_(4, 5)
	fault(struct verify *v, const char *member, struct error *err, const char *fmt, ...)
{
	struct archive_fault *grown;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	grown = arena_grow(&v->v->arena, v->v->faults, v->v->n_faults, sizeof(*grown));
	if (!grown)
		return error_nomem(err);
	v->v->faults = grown;
	grown[v->v->n_faults].member = arena_strdup(&v->v->arena, member);
	grown[v->v->n_faults].text = arena_strdup(&v->v->arena, text);
	if (!grown[v->v->n_faults].member || !grown[v->v->n_faults].text)
		return error_nomem(err);
	v->v->n_faults++;
	return 0;
}

static void put_json(json_object **object)
{
	json_object_put(*object);
}

static int hash_members(struct verify *v, struct error *err)
{
	_cleanup_(digest_deinit) struct digest digest = DIGEST_INIT;
	const struct tar_member *m;
	uint64_t at, n;
	size_t i;
	int r;

	for (i = 0; i < v->a->n_members; i++) {
		m = &v->a->members[i];
		r = digest_begin(&digest, err);
		for (at = 0; r == 0 && at < m->size; at += n) {
			n = MIN(m->size - at, (uint64_t)WINDOW);
			r = op_cancelled(v->op, err);
			if (r == 0)
				r = digest_update(&digest, v->a->data.data + m->offset + at, n,
						  err);
			v->v->bytes += n;
			op_progress(v->op, "verifying", v->v->bytes, v->total);
		}
		if (r == 0)
			r = digest_end(&digest, v->digests[i], err);
		if (r < 0)
			return r;
	}
	op_progress_end(v->op);
	return 0;
}

static int check_sum_line(struct verify *v, const char *line, size_t len, struct error *err)
{
	char name[TAR_NAME_MAX + 1];
	const struct tar_member *m;
	size_t i;

	if (len < 67 || len - 66 > TAR_NAME_MAX || memcmp(line + 64, "  ", 2) != 0)
		return fault(v, SUMS, err, "has a line that is none of sha256sum");
	memcpy(name, line + 66, len - 66);
	name[len - 66] = '\0';
	m = archive_member_find(v->a, name);
	if (!m)
		return fault(v, name, err, "is listed in %s but missing", SUMS);
	i = (size_t)(m - v->a->members);
	v->listed[i] = true;
	v->v->n_members++;
	if (memcmp(line, v->digests[i], 64) != 0)
		return fault(v, name, err, "differs: SHA-256 is %s, %s says %.64s", v->digests[i],
			     SUMS, line);
	return 0;
}

static int check_sums(struct verify *v, struct error *err)
{
	const struct tar_member *m = archive_member_find(v->a, SUMS);
	const char *at, *end, *newline;
	int r;

	if (!m) {
		if (archive_member_find(v->a, RECORD) && !v->v->unhashed)
			return fault(v, SUMS, err, "is missing");
		return 0;
	}
	v->v->digests = true;
	at = (const char *)v->a->data.data + m->offset;
	end = at + m->size;
	while (at < end) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline)
			return fault(v, SUMS, err, "does not end with a newline");
		r = check_sum_line(v, at, (size_t)(newline - at), err);
		if (r < 0)
			return r;
		at = newline + 1;
	}
	return 0;
}

/* amber.json as far as it is needed: *ret is NULL when there is none, or it cannot be parsed. */
static int read_record(struct verify *v, json_object **ret, struct error *err)
{
	const struct tar_member *m = archive_member_find(v->a, RECORD);
	json_object *digests;
	struct json_tokener *tokener;

	*ret = NULL;
	if (!m || m->size > INT32_MAX)
		return 0;
	tokener = json_tokener_new();
	if (!tokener)
		return error_nomem(err);
	*ret = json_tokener_parse_ex(tokener, (const char *)v->a->data.data + m->offset,
				     (int)m->size);
	json_tokener_free(tokener);
	/* Only an archive without any digest may say so: else they are all to be checked. */
	v->v->unhashed = json_object_object_get_ex(*ret, "digests", &digests) &&
			 json_object_is_type(digests, json_type_boolean) &&
			 !json_object_get_boolean(digests) && !archive_member_find(v->a, SUMS);
	return 0;
}

static int check_record_member(struct verify *v, json_object *item, struct error *err)
{
	json_object *name, *sum = NULL, *size = NULL;
	const struct tar_member *member;

	(void)json_object_object_get_ex(item, "sha256", &sum);
	if (!json_object_object_get_ex(item, "name", &name) || !name || (!sum && !v->v->unhashed))
		return fault(v, RECORD, err, "describes a member without name or digest");
	member = archive_member_find(v->a, json_object_get_string(name));
	if (!member)
		return fault(v, json_object_get_string(name), err, "is missing");
	if (sum && strcmp(v->digests[member - v->a->members], json_object_get_string(sum)) != 0)
		return fault(v, member->name, err, "differs from what %s says", RECORD);
	if (json_object_object_get_ex(item, "size", &size) &&
	    json_object_get_uint64(size) != member->size)
		return fault(v, member->name, err, "has another size than %s says", RECORD);
	return 0;
}

/* amber.json repeats the digests: a change of SHA256SUMS itself shows by the difference. */
static int check_record(struct verify *v, json_object *record, struct error *err)
{
	json_object *members;
	size_t i;
	int r = 0;

	if (!record && !archive_member_find(v->a, RECORD))
		return v->v->digests ? fault(v, RECORD, err, "is missing") : 0;
	if (!json_object_object_get_ex(record, "members", &members) ||
	    !json_object_is_type(members, json_type_array))
		return fault(v, RECORD, err, "cannot be parsed");
	for (i = 0; r == 0 && i < json_object_array_length(members); i++)
		r = check_record_member(v, json_object_array_get_idx(members, i), err);
	return r;
}

/* What no digest covers: headers, alignment and padding must be exactly what amber writes. */
static int check_frame(struct verify *v, size_t i, struct error *err)
{
	const struct tar_member *m = &v->a->members[i];
	_cleanup_buf_ struct buf header = BUF_INIT;
	uint64_t span = m->offset - m->header, end = m->offset + m->size, pad;
	struct tar_member plain = *m;
	int r;

	if (strlen(m->name) > 99)
		return fault(v, m->name, err, "has a header that amber does not write");
	plain.linkname = "";
	r = tar_header(&plain, m->header, span > TAR_BLOCK ? AMBER_PAGE_SIZE : 0, &header, err);
	if (r < 0)
		return r;
	if (header.len != span || memcmp(header.data, v->a->data.data + m->header, span) != 0)
		return fault(v, m->name, err, "has a changed header at offset %llu",
			     (unsigned long long)m->header);
	for (pad = 0; pad < tar_padding(m->size); pad++)
		if (end + pad >= v->a->data.len || v->a->data.data[end + pad])
			return fault(v, m->name, err, "is followed by changed padding");
	if (v->v->digests && !v->listed[i] && m->type == '0' && strcmp(m->name, SUMS) != 0)
		return fault(v, m->name, err, "is not listed in %s: it was added", SUMS);
	return 0;
}

static int check_end(struct verify *v, struct error *err)
{
	const struct tar_member *last = &v->a->members[v->a->n_members - 1];
	uint64_t end = last->offset + last->size + tar_padding(last->size), i;

	if (v->a->data.len != end + 2ULL * TAR_BLOCK)
		return fault(v, "", err, "the archive is %lld bytes longer than what was written",
			     (long long)(v->a->data.len - end - 2 * TAR_BLOCK));
	for (i = end; i < v->a->data.len; i++)
		if (v->a->data.data[i])
			return fault(v, "", err, "the archive's end marker is changed");
	return 0;
}

static int verify_all(struct verify *v, struct error *err)
{
	_cleanup_(put_json) json_object *record = NULL;
	bool ours;
	size_t i;
	int r;

	r = read_record(v, &record, err);
	if (r == 0 && !v->v->unhashed)
		r = hash_members(v, err);
	if (r == 0)
		r = check_sums(v, err);
	if (r == 0)
		r = check_record(v, record, err);
	if (r < 0)
		return r;
	if (v->a->damaged)
		return fault(v, "", err, "%s", v->a->problem.text);
	ours = v->v->digests || v->v->unhashed;
	for (i = 0; r == 0 && ours && i < v->a->n_members; i++)
		r = check_frame(v, i, err);
	if (r == 0 && ours)
		r = check_end(v, err);
	return r;
}

int archive_verify(struct op *op, const struct archive_reader *a, struct archive_verdict *ret,
		   struct error *err)
{
	_cleanup_free_ void *digests = calloc(a->n_members + 1, DIGEST_HEX);
	_cleanup_free_ bool *listed = calloc(a->n_members + 1, sizeof(bool));
	struct verify v = { .op = op, .a = a, .v = ret, .digests = digests, .listed = listed };
	size_t i;

	*ret = ARCHIVE_VERDICT_INIT;
	if (!digests || !listed)
		return error_nomem(err);
	for (i = 0; i < a->n_members; i++)
		v.total += a->members[i].size;
	return verify_all(&v, err);
}
