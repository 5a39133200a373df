// SPDX-License-Identifier: Apache-2.0
/*
 * utsns: host name and domain name, both directions.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "object/namespace-kinds.h"
#include "object/ns-visit.h"

static int uts_read(void *arg, struct error *err)
{
	if (uname(arg) < 0)
		return error_errno(err, errno, "cannot ask for the host name");
	return 0;
}

static int uts_capture(struct capture *cap, const struct capture_ns *ns, struct error *err)
{
	struct utsname names;
	Img__Utsns *e;
	int r;

	r = ns_visit(cap, 1U << NS_UTS, uts_read, &names, err);
	if (r < 0)
		return r;
	e = img_new(cap->set, Img__Utsns, utsns);
	if (!e)
		return error_nomem(err);
	e->nodename = arena_strdup(&cap->set->arena, names.nodename);
	e->domainname = arena_strdup(&cap->set->arena, names.domainname);
	if (!e->nodename || !e->domainname)
		return error_nomem(err);
	return image_add(cap->set, IMAGE_UTSNS, ns->id, &e->base, (struct bytes){ 0 }, err);
}

static int uts_restore(struct restore *rst, const struct sandbox_spec *spec, uint32_t id,
		       struct error *err)
{
	const Img__Utsns *e = image_single(rst->set, IMAGE_UTSNS, id);
	const char *domain = e ? e->domainname : "(none)";
	const char *name = e ? e->nodename : spec->name;

	if (!name)
		return 0;
	if (sethostname(name, strlen(name)) < 0 || setdomainname(domain, strlen(domain)) < 0)
		return error_errno(err, errno, "cannot set the host name %s", name);
	return 0;
}

const struct namespace_kind uts_namespace_kind = {
	.name = "uts",
	.kind = NS_UTS,
	.clone_flag = CLONE_NEWUTS,
	.capture = uts_capture,
	.restore = uts_restore,
};
