// SPDX-License-Identifier: Apache-2.0
/*
 * inspect-text: see inspect-text.h. Everything is taken from the JSON, so that the two forms cannot
 * say different things; every text goes through quote_append().
 */
#include "cli/inspect-text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/quote.h"

#define LEVELS_MAX 64 /* deeper processes are shown at this depth */
#define LISTED_MAX 40 /* threads or files of one process; all are in the JSON */

/* The text under way; after a failure nothing more is added. */
struct writer {
	struct buf *out;
	struct error *err;
	int r;
};

static void _printf_(2, 3) say(struct writer *w, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (w->r == 0)
		w->r = buf_append(w->out, text, strlen(text), w->err);
}

static void quote(struct writer *w, const char *text)
{
	if (w->r == 0)
		w->r = quote_append(w->out, text, w->err);
}

static const char *text_of(json_object *value)
{
	return value ? json_object_get_string(value) : "";
}

static size_t length(json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* "Label:      text", left out when there is nothing to say. */
static void line(struct writer *w, const char *label, const char *text)
{
	if (!*text)
		return;
	say(w, "  %-13s ", label);
	quote(w, text);
	say(w, "\n");
}

static void size_line(struct writer *w, const char *label, json_object *o, const char *key)
{
	char text[24];

	if (json_member(o, key))
		line(w, label, cli_size((uint64_t)json_number(o, key), text));
}

static void head(struct writer *w, json_object *doc)
{
	json_object *archive = json_member(doc, "archive"), *c = json_member(doc, "container");

	quote(w, json_text(archive, "path"));
	say(w, "\n");
	line(w, "Container", json_text(c, "name"));
	line(w, "Id", json_text(c, "id"));
	line(w, "Pod", json_text(c, "pod"));
	line(w, "Namespace", json_text(c, "namespace"));
	line(w, "Image", json_text(c, "image"));
	line(w, "Image ref", json_text(c, "image_ref"));
	line(w, "Runtime", json_text(c, "runtime"));
	line(w, "Engine", json_text(c, "engine"));
	line(w, "Created", json_text(c, "created"));
	line(w, "Checkpointed", json_text(c, "checkpointed"));
	line(w, "Hostname", json_text(doc, "node/hostname"));
	line(w, "Kernel", json_text(doc, "node/kernel"));
	if (json_get(doc, "tool/name")) {
		say(w, "  %-13s ", "Tool");
		quote(w, json_text(doc, "tool/name"));
		say(w, " ");
		quote(w, json_text(doc, "tool/version"));
		say(w, "\n");
	}
	if (json_get(doc, "times/freeze_ns"))
		say(w, "  %-13s %.3f ms\n", "Freeze",
		    (double)json_number(doc, "times/freeze_ns") / 1e6);
	else if (json_get(doc, "stats/frozen_us"))
		say(w, "  %-13s %.3f ms\n", "Freeze",
		    (double)json_number(doc, "stats/frozen_us") / 1e3);
	size_line(w, "Archive", archive, "bytes");
	size_line(w, "Images", archive, "checkpoint_bytes");
	size_line(w, "Pages", archive, "pages_bytes");
	size_line(w, "Rootfs diff", archive, "rootfs_diff_bytes");
	if (strcmp(json_text(archive, "format"), "archive") == 0)
		line(w, "Digests",
		     json_object_get_boolean(json_member(archive, "digests"))
			     ? "there; 'amber verify' checks them"
			     : "none: whether it was changed cannot be told");
	if (json_member(doc, "restorable"))
		line(w, "Restorable",
		     json_object_get_boolean(json_member(doc, "restorable")) ? "yes" : "no");
}

static void indent(struct writer *w, size_t level)
{
	say(w, "%*s", (int)(2 * MIN(level, (size_t)LEVELS_MAX)), "");
}

static void credentials_text(struct writer *w, json_object *p)
{
	json_object *uids = json_get(p, "credentials/uids"),
		    *gids = json_get(p, "credentials/gids");

	if (length(uids) && length(gids))
		say(w, "  uid %s gid %s", text_of(json_object_array_get_idx(uids, 0)),
		    text_of(json_object_array_get_idx(gids, 0)));
	if (length(uids) > 1 && strcmp(text_of(json_object_array_get_idx(uids, 0)),
				       text_of(json_object_array_get_idx(uids, 1))) != 0)
		say(w, " euid %s", text_of(json_object_array_get_idx(uids, 1)));
}

static void command_text(struct writer *w, json_object *p)
{
	json_object *words = json_member(p, "command_line");
	size_t i, n = length(words);

	for (i = 0; i < n; i++) {
		say(w, i ? " " : "  ");
		quote(w, text_of(json_object_array_get_idx(words, i)));
	}
}

static void threads_text(struct writer *w, json_object *p, size_t level)
{
	json_object *threads = json_member(p, "threads"), *t;
	size_t i, n = length(threads);

	for (i = 1; i < n; i++) {
		t = json_object_array_get_idx(threads, i);
		indent(w, level);
		if (i > LISTED_MAX) {
			say(w, "    ... and %zu more threads\n", n - i);
			return;
		}
		say(w, "    thread %lld ", (long long)json_number(t, "tid"));
		quote(w, json_text(t, "comm"));
		say(w, "\n");
	}
}

static void flags_text(struct writer *w, json_object *flags)
{
	size_t i, n = length(flags);

	for (i = 0; i < n; i++) {
		say(w, i ? "|" : "  ");
		quote(w, text_of(json_object_array_get_idx(flags, i)));
	}
}

static void files_text(struct writer *w, json_object *p, size_t level)
{
	json_object *files = json_member(p, "files"), *f;
	size_t i, n = length(files);

	for (i = 0; i < n; i++) {
		f = json_object_array_get_idx(files, i);
		indent(w, level);
		if (i >= LISTED_MAX) {
			say(w, "    ... and %zu more descriptors\n", n - i);
			return;
		}
		say(w, "    fd %-3lld %s  ", (long long)json_number(f, "fd"),
		    text_of(json_member(f, "kind")));
		quote(w, json_text(f, "target"));
		flags_text(w, json_member(f, "flags"));
		if (json_number(f, "pos"))
			say(w, " at %lld", (long long)json_number(f, "pos"));
		if (json_number(f, "queued_bytes"))
			say(w, " (%lld bytes queued)", (long long)json_number(f, "queued_bytes"));
		say(w, "\n");
	}
}

static void process_text(struct writer *w, json_object *p, size_t level)
{
	const char *state = text_of(json_member(p, "state"));
	char size[24];

	indent(w, level);
	say(w, "  [%lld] ", (long long)json_number(p, "pid"));
	quote(w, json_text(p, "comm"));
	if (*state && strcmp(state, "alive") != 0)
		say(w, " (%s)", state);
	command_text(w, p);
	credentials_text(w, p);
	if (json_get(p, "memory/captured_bytes"))
		say(w, "  %s", cli_size((uint64_t)json_number(p, "memory/captured_bytes"), size));
	say(w, "\n");
	threads_text(w, p, level);
	files_text(w, p, level);
}

struct node {
	int64_t pid;
	size_t index; /* in the list */
};

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Index of the first process with a pid, n when there is none. */
static size_t find_node(const struct node *nodes, size_t n, int64_t pid)
{
	size_t low = 0, high = n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (nodes[mid].pid < pid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && nodes[low].pid == pid ? nodes[low].index : n;
}

/* The tree as first children and next siblings; index n stands for the top and for none. */
struct forest {
	size_t *child, *sibling, *parent;
	size_t n;
};

/*
 * A process hangs below its parent when that comes before it, as in every sound image, else at the
 * top: so nobody can be his own ancestor.
 */
static void plant(struct forest *f, const struct node *nodes, json_object *list)
{
	size_t i, above;

	for (i = 0; i <= f->n; i++)
		f->child[i] = f->sibling[i] = f->n;
	for (i = f->n; i-- > 0;) {
		above = find_node(nodes, f->n,
				  json_number(json_object_array_get_idx(list, i), "ppid"));
		if (above >= i)
			above = f->n;
		f->parent[i] = above;
		f->sibling[i] = f->child[above];
		f->child[above] = i;
	}
}

static void walk(struct writer *w, const struct forest *f, json_object *list)
{
	size_t at = f->child[f->n], level = 0;

	while (at < f->n && w->r == 0) {
		process_text(w, json_object_array_get_idx(list, at), level);
		if (f->child[at] < f->n) {
			at = f->child[at];
			level++;
			continue;
		}
		while (at < f->n && f->sibling[at] == f->n) {
			at = f->parent[at];
			level -= level > 0;
		}
		if (at < f->n)
			at = f->sibling[at];
	}
}

static void processes_text(struct writer *w, json_object *list)
{
	size_t n = length(list), i;
	_cleanup_free_ size_t *links = calloc(n + 1, 3 * sizeof(*links));
	_cleanup_free_ struct node *nodes = calloc(n + 1, sizeof(*nodes));
	struct forest forest = { links, links + n + 1, links + 2 * (n + 1), n };

	if (!links || !nodes) {
		w->r = error_nomem(w->err);
		return;
	}
	for (i = 0; i < n; i++)
		nodes[i] =
			(struct node){ json_number(json_object_array_get_idx(list, i), "pid"), i };
	qsort(nodes, n, sizeof(*nodes), compare_nodes);
	plant(&forest, nodes, list);
	if (n)
		say(w, "\nProcesses\n");
	walk(w, &forest, list);
}

static void sockets_text(struct writer *w, json_object *list)
{
	size_t i, j, n = length(list);
	json_object *s, *h;

	if (n)
		say(w, "\nSockets\n");
	for (i = 0; i < n && w->r == 0; i++) {
		s = json_object_array_get_idx(list, i);
		say(w, "  ");
		quote(w, json_text(s, "target"));
		if (json_number(s, "receive_queue_bytes") || json_number(s, "send_queue_bytes"))
			say(w, "  (%lld bytes to read, %lld to send)",
			    (long long)json_number(s, "receive_queue_bytes"),
			    (long long)json_number(s, "send_queue_bytes"));
		if (json_number(s, "queued_bytes"))
			say(w, "  (%lld bytes in %lld packets)",
			    (long long)json_number(s, "queued_bytes"),
			    (long long)json_number(s, "queued_packets"));
		h = json_member(s, "holders");
		for (j = 0; j < MIN(length(h), (size_t)8); j++)
			say(w, "  [%lld] fd %lld",
			    (long long)json_number(json_object_array_get_idx(h, j), "pid"),
			    (long long)json_number(json_object_array_get_idx(h, j), "fd"));
		say(w, "\n");
	}
}

static void mounts_text(struct writer *w, json_object *list)
{
	size_t i, n = length(list);
	json_object *m;

	if (n)
		say(w, "\nMounts\n");
	for (i = 0; i < n && w->r == 0; i++) {
		m = json_object_array_get_idx(list, i);
		say(w, "  ");
		quote(w, json_text(m, "mountpoint"));
		say(w, "  ");
		quote(w, text_of(json_member(m, "type")));
		say(w, "  ");
		quote(w, json_text(m, "source"));
		flags_text(w, json_member(m, "flags"));
		if (json_member(m, "external"))
			say(w, "  (from outside)");
		say(w, "\n");
	}
}

static void net_text(struct writer *w, json_object *net)
{
	json_object *list = json_member(net, "devices"), *item;
	size_t i, n = length(list);

	for (i = 0; i < n; i++) {
		item = json_object_array_get_idx(list, i);
		say(w, "    ");
		quote(w, json_text(item, "name"));
		say(w, "  mtu %lld  ", (long long)json_number(item, "mtu"));
		quote(w, json_text(item, "address"));
		say(w, "\n");
	}
	list = json_member(net, "addresses");
	n = length(list);
	for (i = 0; i < n; i++) {
		item = json_object_array_get_idx(list, i);
		say(w, "    ");
		quote(w, json_text(item, "address"));
		say(w, "  device %lld\n", (long long)json_number(item, "ifindex"));
	}
}

static void namespaces_text(struct writer *w, json_object *kinds)
{
	if (!json_object_is_type(kinds, json_type_object) || !json_object_object_length(kinds))
		return;
	say(w, "\nNamespaces\n");
	json_object_object_foreach(kinds, name, ns)
	{
		say(w, "  %-7s %lld  ", name, (long long)json_number(ns, "id"));
		quote(w, json_text(ns, "hostname"));
		if (json_member(ns, "external"))
			say(w, "(from outside)");
		say(w, "\n");
		if (strcmp(name, "net") == 0)
			net_text(w, ns);
	}
}

static void memory_text(struct writer *w, json_object *memory)
{
	char captured[24], size[24];

	say(w, "\nMemory\n  %s captured of %s in %lld mappings\n",
	    cli_size((uint64_t)json_number(memory, "captured_bytes"), captured),
	    cli_size((uint64_t)json_number(memory, "virtual_bytes"), size),
	    (long long)json_number(memory, "mappings"));
}

static void gaps_text(struct writer *w, json_object *list)
{
	size_t i, n = length(list);
	json_object *g;

	if (n)
		say(w, "\nGaps (what could not be captured)\n");
	for (i = 0; i < n && w->r == 0; i++) {
		g = json_object_array_get_idx(list, i);
		say(w, "  ");
		quote(w, json_text(g, "effect"));
		say(w, "  ");
		quote(w, json_text(g, "kind"));
		if (json_number(g, "pid"))
			say(w, " of process %lld", (long long)json_number(g, "pid"));
		say(w, ": ");
		quote(w, json_text(g, "subject"));
		say(w, ": ");
		quote(w, json_text(g, "reason"));
		say(w, "\n");
	}
}

static void problems_text(struct writer *w, json_object *list)
{
	size_t i, n = length(list);
	json_object *p;

	if (n)
		say(w, "\nProblems (what could not be read)\n");
	for (i = 0; i < n && w->r == 0; i++) {
		p = json_object_array_get_idx(list, i);
		say(w, "  ");
		quote(w, json_text(p, "name"));
		say(w, ": ");
		quote(w, json_text(p, "text"));
		say(w, "\n");
	}
}

int inspect_text(json_object *document, struct buf *out, struct error *err)
{
	struct writer w = { out, err, 0 };

	head(&w, document);
	processes_text(&w, json_member(document, "processes"));
	sockets_text(&w, json_member(document, "sockets"));
	mounts_text(&w, json_member(document, "mounts"));
	namespaces_text(&w, json_member(document, "namespaces"));
	memory_text(&w, json_member(document, "memory"));
	gaps_text(&w, json_member(document, "gaps"));
	problems_text(&w, json_member(document, "problems"));
	return w.r;
}
