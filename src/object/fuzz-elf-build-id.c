// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz-elf-build-id: headers of files from a hostile container.
 */
#include "object/file-facts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char id[FILE_FACTS_BUILD_ID_MAX];

	if (elf_build_id((struct bytes){ data, size }, id, sizeof(id)) > sizeof(id))
		__builtin_trap();
	return 0;
}
