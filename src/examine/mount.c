// SPDX-License-Identifier: Apache-2.0
/*
 * mount: see mount.h.
 */
#include "examine/mount.h"

#include <ctype.h>
#include <string.h>

#include "examine/xlat.h"

static void put_type(const Img__Mnt *m, json_object *o)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(&img__fstype__descriptor, (int)m->fstype);
	char name[32];
	size_t i;

	if (m->fsname && *m->fsname) {
		json_put_text(o, "type", m->fsname);
	} else if (value) {
		for (i = 0; value->name[i] && i + 1 < sizeof(name); i++)
			name[i] = (char)tolower((unsigned char)value->name[i]);
		name[i] = '\0';
		json_put_text(o, "type", name);
	} else {
		json_put_number(o, "type", m->fstype);
	}
}

static json_object *mount_json(const Img__Mnt *m, uint64_t ns)
{
	json_object *o = json_object_new_object();

	json_put_text(o, "mountpoint", m->mountpoint);
	put_type(m, o);
	json_put_text(o, "source", m->source);
	json_put_text(o, "root", m->root);
	json_object_object_add(o, "flags", xlat_flags_json(xlat_mount_flags, m->flags));
	json_put_text(o, "options", m->options);
	json_put_number(o, "mount_id", m->mnt_id);
	json_put_number(o, "parent_id", m->parent_mnt_id);
	json_put_number(o, "device", m->root_dev);
	if (m->has_shared_id && m->shared_id)
		json_put_number(o, "shared", m->shared_id);
	if (m->has_master_id && m->master_id)
		json_put_number(o, "master", m->master_id);
	if (m->ext_key)
		json_put_text(o, "external", m->ext_key);
	else if (m->has_ext_mount && m->ext_mount)
		json_put_text(o, "external", "");
	if (m->has_deleted)
		json_put_bool(o, "deleted", m->deleted);
	json_put_number(o, "namespace_id", ns);
	return o;
}

static int compare_mounts(const void *a, const void *b)
{
	json_object *x = *(json_object *const *)a, *y = *(json_object *const *)b;
	int64_t ns = json_number(x, "namespace_id") - json_number(y, "namespace_id");
	int path = strcmp(json_text(x, "mountpoint"), json_text(y, "mountpoint"));

	if (ns)
		return ns < 0 ? -1 : 1;
	return path ? path : (int)(json_number(x, "mount_id") - json_number(y, "mount_id"));
}

json_object *mount_list_json(const struct examine *x)
{
	json_object *list = json_object_new_array();
	const struct image *image;
	const Img__Mnt *m;
	size_t i;

	for (image = x->set.images[IMAGE_MOUNTPOINTS]; list && image; image = image->next)
		for (i = 0; i < image->n_entries; i++) {
			m = image_message(image, i);
			if (m)
				json_object_array_add(list, mount_json(m, image->id));
		}
	if (list)
		json_object_array_sort(list, compare_mounts);
	return list;
}
