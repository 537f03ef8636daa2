// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attaches and detaches the empty programs on command.
 *
 * With the argument --vhost also those of tier 2 (types fentry, fexit, kprobe and
 * kretprobe), as far as the loaded vhost modules have the functions.
 *
 * Reads commands from stdin, answers one line each on stdout:
 *   attach TYPE...   TYPE is tp_btf, raw_tp or tp; answers a JSON list of
 *                    {"id","type","hook"}; a hook that this kernel lacks is
 *                    left out
 *   detach           answers "detached"
 *   stats on|off     run-time statistics for as long as this process lives,
 *                    whatever kernel.bpf_stats_enabled says; answers "stats"
 * Ends at end of file, and the kernel then undoes all of it: nothing can be
 * left behind, even by kill -9.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "empty.skel.h"

#define LINKS__N 64

static struct bpf_link *links[LINKS__N];
static int link_count;

static int quiet(enum libbpf_print_level level, const char *format,
		 va_list args)
{
	/* A hook that is not there is expected; it shows in the answer. */
	if (level != LIBBPF_WARN || !getenv("EMPTY_PROGS_DEBUG"))
		return 0;
	return vfprintf(stderr, format, args);
}

static bool has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char *prog_type(const struct bpf_program *prog)
{
	static const char *const types[] = { "tp_btf", "raw_tp", "fentry", "fexit",
					     "kprobe", "kretprobe", "tp" };
	const char *section = bpf_program__section_name(prog);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (has_prefix(section, types[i]) &&
		    section[strlen(types[i])] == '/')
			return types[i];
	return "?";
}

static const char *prog_hook(const struct bpf_program *prog)
{
	return strrchr(bpf_program__section_name(prog), '/') + 1;
}

static void detach_all(void)
{
	while (link_count > 0)
		bpf_link__destroy(links[--link_count]);
}

static bool is_wanted(const char *type, char *const *wanted)
{
	for (; *wanted; wanted++)
		if (strcmp(type, *wanted) == 0)
			return true;
	return false;
}

static void attach_some(struct empty_bpf *skel, char *const *wanted)
{
	struct bpf_program *prog;
	const char *separator = "";

	detach_all();
	printf("[");
	bpf_object__for_each_program(prog, skel->obj) {
		struct bpf_prog_info info = {};
		__u32 info_size = sizeof(info);
		struct bpf_link *link;

		if (!bpf_program__autoload(prog) ||
		    !is_wanted(prog_type(prog), wanted) ||
		    link_count == LINKS__N)
			continue;
		link = bpf_program__attach(prog);
		if (!link)
			continue;
		links[link_count++] = link;
		if (bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info,
					   &info_size))
			continue;
		printf("%s{\"id\":%u,\"type\":\"%s\",\"hook\":\"%s\"}",
		       separator, info.id, prog_type(prog), prog_hook(prog));
		separator = ",";
	}
	printf("]\n");
}

/*
 * Has the programs of tier 2 loaded that this kernel can have: a function that
 * is not there fails the load of all.
 */
static void want_vhost(struct empty_bpf *skel)
{
	bool types = access("/sys/kernel/btf/vhost_net", R_OK) == 0;
	FILE *file = fopen("/proc/kallsyms", "re");
	struct bpf_program *prog;
	char line[512], name[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %*s %127s", name) != 1)
			continue;
		bpf_object__for_each_program(prog, skel->obj)
			if (!strcmp(prog_hook(prog), name) &&
			    (types || prog_type(prog)[0] == 'k'))
				bpf_program__set_autoload(prog, true);
	}
	if (file)
		fclose(file);
	bpf_object__for_each_program(prog, skel->obj)
		if (!strcmp(prog_type(prog), "raw_tp"))
			bpf_program__set_autoload(prog, true);
}

int main(int argc, char **argv)
{
	struct empty_bpf *skel;
	struct bpf_program *prog;
	struct btf *btf;
	char line[256];
	int stats_fd = -1;

	libbpf_set_print(quiet);
	setvbuf(stdout, NULL, _IOLBF, 0);

	skel = empty_bpf__open();
	if (!skel) {
		fprintf(stderr, "empty_progs: cannot open the BPF object: %s\n",
			strerror(errno));
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "--vhost"))
		want_vhost(skel);
	btf = btf__load_vmlinux_btf();
	bpf_object__for_each_program(prog, skel->obj) {
		char name[128];

		if (strcmp(prog_type(prog), "tp_btf"))
			continue;
		snprintf(name, sizeof(name), "btf_trace_%s", prog_hook(prog));
		if (!btf || btf__find_by_name_kind(btf, name,
						   BTF_KIND_TYPEDEF) < 0)
			bpf_program__set_autoload(prog, false);
	}
	btf__free(btf);
	if (empty_bpf__load(skel)) {
		fprintf(stderr, "empty_progs: cannot load the empty programs: "
				"%s (needs root)\n", strerror(errno));
		return 1;
	}
	puts("ready");

	while (fgets(line, sizeof(line), stdin)) {
		char *words[8] = {};
		char *save = NULL;
		int n = 0;

		for (char *word = strtok_r(line, " \n", &save); word && n < 7;
		     word = strtok_r(NULL, " \n", &save))
			words[n++] = word;
		if (n == 0)
			continue;
		if (!strcmp(words[0], "attach")) {
			attach_some(skel, words + 1);
		} else if (!strcmp(words[0], "detach")) {
			detach_all();
			puts("detached");
		} else if (!strcmp(words[0], "stats") && n == 2) {
			if (stats_fd >= 0)
				close(stats_fd);
			stats_fd = -1;
			if (!strcmp(words[1], "on"))
				stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
			puts(!strcmp(words[1], "on") && stats_fd < 0 ?
			     "stats unavailable" : "stats");
		} else {
			puts("unknown command");
		}
	}
	detach_all();
	empty_bpf__destroy(skel);
	return 0;
}
