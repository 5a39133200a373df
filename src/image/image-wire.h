/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image-wire: is a packed message safe to unpack?
 *
 * protobuf-c unpacks messages inside messages by calling itself, without a limit; a few megabytes
 * of hostile input would take all of the stack. This walks the wire format first, without
 * recursion. Never judges what the values mean.
 */
#pragma once

#include "base/buf.h"
#include "image/image.h"

/*
 * image_wire_check - walk a packed message.
 * Returns 0, or -EINVAL when the bytes are no message or messages nest deeper than IMAGE_DEPTH_MAX;
 * err says where.
 */
int image_wire_check(const ProtobufCMessageDescriptor *desc, struct bytes data,
		     struct error *err) _must_check_;
