/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tunfile.bpf.c - who holds which tap: one pass over all open files.
 *
 * Needs the types of the tun driver, hence an object of its own. Unlike
 * /proc/PID/fdinfo it takes no rtnl_lock, and it names the namespace.
 */
#include "abi.h"
#include "compat.bpf.h"
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define TUN_RDEV   ((10 << 20) | 200) /* /dev/net/tun, MKDEV(10, 200) */
#define VHOST_RDEV ((10 << 20) | 238) /* /dev/vhost-net */

SEC("?iter/task_file")
int vs_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct vs_file row = {};
	struct tun_file *tfile;
	struct net_device *dev;
	char name[8] = {};
	const unsigned char *d;

	if (!task || !file)
		return 0;
	if (file->f_inode->i_rdev == TUN_RDEV) {
		tfile = file->private_data;
		dev = BPF_CORE_READ(tfile, tun, dev);
		if (!dev)
			return 0; /* opened, not yet attached */
		row.kind = VS_FILE_TUN;
		row.dev = (__u64)dev;
		row.ifindex = BPF_CORE_READ(dev, ifindex);
		row.netns_cookie = vs_dev_netns(dev);
		row.netns_inum = BPF_CORE_READ(dev, nd_net.net, ns.inum);
		row.queue = BPF_CORE_READ(tfile, queue_index);
		BPF_CORE_READ_STR_INTO(&row.name, dev, name);
	} else if (file->f_inode->i_rdev == VHOST_RDEV) {
		row.kind = VS_FILE_VHOST;
	} else {
		d = file->f_path.dentry->d_name.name;
		if (bpf_probe_read_kernel_str(name, sizeof(name), d) != 7 ||
		    name[0] != 'k' || name[1] != 'v' || name[2] != 'm' || name[3] != '-' ||
		    name[4] != 'v' || name[5] != 'm')
			return 0;
		row.kind = VS_FILE_KVM;
	}
	row.pid = task->tgid;
	row.fd = ctx->fd;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
