/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disks.h - a device number -> what kind of disk it is.
 *
 * Layer:   discover
 * State:   none; reads /sys
 * Threads: any
 */
#pragma once
#include "model/sample.h"

/* @dev: the kernel's dev_t, major << 20 | minor. Never fails: a disk that sysfs
 * does not know is called by its number. */
void vs_disks_describe(uint32_t dev, struct vs_disk_info *ret);
