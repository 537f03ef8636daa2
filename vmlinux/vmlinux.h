/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmlinux.h - kernel types for BPF programs: picks the header of the target. */
#pragma once
#if defined(__TARGET_ARCH_x86)
#include "x86/vmlinux.h"
#else
#error "no vmlinux header for this architecture yet: see vmlinux/README.md"
#endif
