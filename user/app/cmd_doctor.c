/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmd_doctor.c - every fact about this host, every choice, and what is lost. */
#include "app/options.h"
#include "app/doctor_libvirt.h"
#include "app/doctor_probes.h"
#include "app/permission.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "discover/kvmstat.h"
#include "discover/netns.h"
#include "probe/plan.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct fact {
	const char *name;
	bool holds;
	char detail[128];
	const char *otherwise; /* what follows when it does not hold */
};

#define FACTS 64
struct facts {
	struct fact all[FACTS];
	size_t n;
};

static struct fact *add(struct facts *f, const char *name, bool holds, const char *otherwise)
{
	struct fact *x = &f->all[f->n++];

	x->name = name;
	x->holds = holds;
	x->otherwise = otherwise;
	return x;
}

static bool reads_as(const char *path, const char *want)
{
	vs_autofclose FILE *f = fopen(path, "re");
	char line[64] = "";

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, want) == 0;
}

static void gather(const struct vs_kcaps *caps, struct facts *f)
{
	struct fact *x;
	uint64_t cookie;
	int r;

	x = add(f, "bpf() can be used", !caps->bpf_error, "tier 0: totals of links only");
	(void)snprintf(x->detail, sizeof(x->detail), "%s",
		       caps->bpf_error ? strerror(caps->bpf_error) : "");
	add(f, "type information (/sys/kernel/btf/vmlinux)", caps->btf,
	    "tier 0: programs cannot be fitted to this kernel");
	add(f, "tp_btf programs load", caps->tp_btf, "raw_tp is used, a little dearer");
	add(f, "raw_tp programs load", caps->raw_tp, "no fallback for tp_btf");
	add(f, "file iterator programs load", caps->iter, "/proc is walked for taps");
	add(f, "types of the tun driver", caps->tun_types, "/proc is walked for taps");
	add(f, "fentry programs load", caps->fentry, "kprobes are used, dearer");
	add(f, "kprobes", caps->kprobe, "no fallback for fentry");
	add(f, "vhost_net is loaded", access("/sys/module/vhost_net", F_OK) == 0,
	    "no VM uses it now; its probe is not tried here");
	add(f, "BPF ring buffer", caps->ringbuf, "tier 0");
	for (int i = 0; i < VS_TP__N; i++) {
		x = add(f, vs_tp_name(i), caps->tp_args[i] > 0, "see the probes below");
		(void)snprintf(x->detail, sizeof(x->detail), "tracepoint, %u arguments",
			       caps->tp_args[i]);
	}
	add(f, "kfree_skb tells a drop reason", caps->drop_reason, "drops by place only");
	add(f, "network namespaces can be told apart", !vs_netns_cookie(&cookie),
	    "taps in other namespaces have no totals");
	add(f, "kernel.kptr_restrict lets us read addresses",
	    geteuid() == 0 && !reads_as("/proc/sys/kernel/kptr_restrict", "2"),
	    "places of drops stay unnamed");
	add(f, "tasks carry their run-queue delay", caps->sched_info,
	    "/proc/PID/task/TID/schedstat is read, if there is one");
	r = vs_kvmstat_check(VS_KVMSTAT_DIR);
	x = add(f, "KVM's statistics (/sys/kernel/debug/kvm)", !r,
		"no exit classes; halt polling counts as running (mount debugfs; no lockdown)");
	(void)snprintf(x->detail, sizeof(x->detail), "%s", r ? strerror(-r) : "");
	add(f, "kernel.bpf_stats_enabled", reads_as("/proc/sys/kernel/bpf_stats_enabled", "1"),
	    "run times of our programs read 0; sysctl kernel.bpf_stats_enabled=1 turns them on");
}

static const char *const blind_spots[] = {
	"Throttling above the request layer (blk-throttle, iocost, wbt, waiting for a tag) is not "
	"seen by this tier: a VM that is throttled there looks fast, and requests that a kernel "
	"worker issues for it are named only by its cgroup.",
	"Requests are named by the submitter, else by the bio's cgroup if the VM is alone in it, "
	"else they are counted as unattributed.",
	"Write-back of cached writes is unattributed unless the VM has an I/O cgroup of its own.",
	"Packets over vhost-user, VFIO or vDPA, and XDP frames redirected into a tap, do not pass "
	"these hooks.",
	"A VMM that gives its threads no names (QEMU without debug-threads=on) has vCPUs only once KVM "
	"has run them; under software emulation its vCPUs are not told from its other threads.",
	"Residence is sampled (self.lost and residence_us.lost tell what a sample was lost to); "
	"drops and disk requests are counted one by one.",
};
#define BLIND_SPOTS (sizeof(blind_spots) / sizeof(blind_spots[0]))

static void print_json(const struct facts *f, const struct vs_plan *plan,
		       const struct vs_doctor_probes *tried, const struct utsname *u,
		       const struct vs_doctor_libvirt *libvirt)
{
	json_t *facts = json_array(), *blind = json_array(), *j;

	for (size_t i = 0; i < f->n; i++)
		(void)json_array_append_new(
			facts, json_pack("{s:s,s:b,s:s,s:o}", "fact", f->all[i].name, "holds",
					 f->all[i].holds, "detail", f->all[i].detail, "otherwise",
					 f->all[i].holds ? json_null() :
							   json_string(f->all[i].otherwise)));
	for (size_t i = 0; i < BLIND_SPOTS; i++)
		(void)json_array_append_new(blind, json_string(blind_spots[i]));
	j = json_pack("{s:s,s:s,s:s,s:i,s:o,s:o,s:o,s:o}", "schema", "virtscope.doctor/1", "host",
		      u->nodename, "kernel", u->release, "tier", plan->tier, "facts", facts,
		      "probes", vs_doctor_probes_json(plan, tried), "libvirt", vs_doctor_libvirt_json(libvirt), "not_seen", blind);
	(void)json_dumpf(j, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
	(void)putchar('\n');
	json_decref(j);
}

static void print_text(const struct facts *f, const struct vs_plan *plan,
		       const struct vs_doctor_probes *tried, const struct utsname *u,
		       const struct vs_doctor_libvirt *libvirt)
{
	(void)printf("virtscope doctor  %s  Linux %s  tier %d\n\nfacts\n", u->nodename, u->release,
		     plan->tier);
	for (size_t i = 0; i < f->n; i++) {
		(void)printf("  %-3s  %-44s %s\n", f->all[i].holds ? "yes" : "no", f->all[i].name,
			     f->all[i].detail);
		if (!f->all[i].holds)
			(void)printf("       so: %s\n", f->all[i].otherwise);
	}
	vs_doctor_probes_print(plan, tried);
	vs_doctor_libvirt_print(libvirt);
	(void)printf("\nnot seen here, whatever the kernel\n");
	for (size_t i = 0; i < BLIND_SPOTS; i++)
		(void)printf("  - %s\n", blind_spots[i]);
}

int vs_cmd_doctor(const struct vs_options *o)
{
	struct vs_kcaps caps;
	struct vs_plan plan;
	struct vs_doctor_probes tried;
	struct facts facts = { .n = 0 };
	vs_cleanup(vs_doctor_libvirt_done) struct vs_doctor_libvirt libvirt = { 0 };
	struct utsname u;
	int r = VS_EXIT_OK;

	if (!vs_permitted("doctor"))
		return VS_EXIT_PERMISSION;
	(void)uname(&u);
	if (vs_kcaps_probe(&caps))
		return VS_EXIT_FAILED;
	vs_plan_decide(&caps, o->live.denied, &plan);
	/* The proof of a plan is that it loads. */
	if (vs_doctor_probes_try(&caps, o->live.denied, &plan, &tried))
		r = VS_EXIT_FAILED;
	gather(&caps, &facts);
	vs_doctor_libvirt_ask(o->live.libvirt, &libvirt);
	if (o->json)
		print_json(&facts, &plan, &tried, &u, &libvirt);
	else
		print_text(&facts, &plan, &tried, &u, &libvirt);
	vs_kcaps_done(&caps);
	return r;
}
