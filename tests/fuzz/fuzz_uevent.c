/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a message of the kernel's uevent socket. To run, from the top of
 * the repository:
 *
 *   clang -std=gnu17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined \
 *         -Iuser -Ibpf tests/fuzz/fuzz_uevent.c user/discover/uevent.c \
 *         user/base/text.c -o build/fuzz_uevent
 *   build/fuzz_uevent -max_total_time=60 -max_len=8192
 */
#include "discover/uevent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)vs_uevent_parse((const char *)data, size);
	(void)vs_uevent_is_module((const char *)data, size);
	return 0;
}
