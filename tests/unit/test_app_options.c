/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "app/options.h"
#include "serve/control.h"

static const struct vs_command report = { "report", VS_CMD_REPORT, "", "", NULL };
static const struct vs_command run = { "run", VS_CMD_RUN, "", "", NULL };
static const struct vs_command doctor = { "doctor", VS_CMD_DOCTOR, "", "", NULL };

static const struct vs_command events = { "events", VS_CMD_EVENTS, "", "", NULL };
static const struct vs_command check_config = { "check-config", VS_CMD_CHECK_CONFIG, "", "", NULL };

static struct vs_options o;

static int parse_words(const struct vs_command *command, const char *const *words)
{
	char *argv[80];
	int argc = 0, saved, r;

	for (; words[argc]; argc++)
		argv[argc] = (char *)words[argc];
	saved = unit_hush();
	r = vs_options_parse(command, argc, argv, &o);
	unit_unhush(saved);
	return r;
}
#define PARSE(command, ...) parse_words(&command, (const char *const[]){ __VA_ARGS__, NULL })
#define OK(command, ...)    assert_int_equal(PARSE(command, __VA_ARGS__), 0)
#define BAD(command, ...)   assert_int_equal(PARSE(command, __VA_ARGS__), -EINVAL)

static void without_arguments_there_are_defaults(void **state)
{
	const char *none = NULL;

	(void)state;
	assert_int_equal(parse_words(&report, &none), 0);
	assert_true(o.duration_s == 5);
	assert_int_equal(o.overrides_n, 0);
	assert_string_equal(o.control, VS_CONTROL_PATH);
	assert_int_equal(o.live.sample_shift, 255);
	assert_int_equal(o.live.denied, 0);
	assert_int_equal(o.live.forced_n, 0);
	assert_false(o.json || o.help || o.histogram || o.standalone || o.require_bpf);
}

static void switches_are_set_by_either_name(void **state)
{
	(void)state;
	OK(report, "--json", "--histogram", "--standalone", "--require-bpf", "--verbose", "--help");
	assert_true(o.json && o.histogram && o.standalone && o.require_bpf && o.help);
	assert_int_equal(o.verbosity, 1);
	OK(report, "-j", "-H", "-v", "-v", "-h");
	assert_true(o.json && o.histogram && o.help);
	assert_int_equal(o.verbosity, 2);
	assert_false(o.standalone);
}

static void deep_window_is_ten_seconds_and_sixty_at_most(void **state)
{
	(void)state;
	OK(report, "--deep");
	assert_true(o.deep && o.duration_s == 10);
	OK(report, "-d", "3", "--deep");
	assert_true(o.duration_s == 3);
	OK(report, "--deep", "-d60");
	BAD(report, "--deep", "-d61");
	BAD(report, "-d61", "--deep");
	BAD(run, "--deep");
}

static void value_may_follow_or_be_joined(void **state)
{
	(void)state;
	OK(report, "--duration", "2.5");
	assert_true(o.duration_s == 2.5);
	OK(report, "--duration=0.01");
	assert_true(o.duration_s == 0.01);
	OK(report, "-d", "86400");
	assert_true(o.duration_s == 86400);
	OK(report, "-d3");
	assert_true(o.duration_s == 3);
	OK(report, "--control=/a=b");
	assert_string_equal(o.control, "/a=b");
}

static void duration_must_be_a_number_in_range(void **state)
{
	(void)state;
	BAD(report, "-d", "0");
	BAD(report, "-d", "0.009");
	BAD(report, "-d", "86400.1");
	BAD(report, "-d", "-5");
	BAD(report, "-d", "5s");
	BAD(report, "-d", "");
	BAD(report, "-d", "nan");
	BAD(report, "-d", "inf");
	BAD(report, "-d", "1e999");
	BAD(report, "--duration=");
}

static void sample_must_be_a_power_of_two(void **state)
{
	(void)state;
	OK(run, "--sample", "1");
	assert_int_equal(o.live.sample_shift, 0);
	assert_int_equal(o.sample_n, 1);
	OK(run, "--sample", "64");
	assert_int_equal(o.live.sample_shift, 6);
	OK(run, "--sample", "1048576");
	assert_int_equal(o.live.sample_shift, 20);
	BAD(run, "--sample", "0");
	BAD(run, "--sample", "3");
	BAD(run, "--sample", "-2");
	BAD(run, "--sample", "2097152");
	BAD(run, "--sample", "4x");
	BAD(run, "--sample", "99999999999999999999");
}

static void denied_hooks_add_up(void **state)
{
	(void)state;
	OK(doctor, "--deny-hook", "tp_btf", "--deny-hook=iter");
	assert_int_equal(o.live.denied, 1u << VS_HOOK_TP_BTF | 1u << VS_HOOK_ITER);
	OK(report, "--deny-hook", "bpf", "--deny-hook", "bpf");
	assert_int_equal(o.live.denied, 1u << VS_HOOK_BPF);
	BAD(run, "--deny-hook", "uprobe");
	BAD(run, "--deny-hook", "");
}

static void vm_names_a_process(void **state)
{
	(void)state;
	OK(run, "--vm", "web=12", "--vm=a=b=13");
	assert_int_equal(o.live.forced_n, 2);
	assert_string_equal(o.live.forced[0].name, "web");
	assert_int_equal(o.live.forced[0].pid, 12);
	assert_string_equal(o.live.forced[1].name, "a=b");
	assert_int_equal(o.live.forced[1].pid, 13);
}

static void vm_without_a_name_or_a_pid_is_refused(void **state)
{
	(void)state;
	BAD(run, "--vm", "web");
	BAD(run, "--vm", "=12");
	BAD(run, "--vm", "web=");
	BAD(run, "--vm", "web=0");
	BAD(run, "--vm", "web=-1");
	BAD(run, "--vm", "web=12x");
	BAD(run, "--vm", "web=4194305");
	BAD(run, "--vm", "web=99999999999999999999");
	BAD(run, "--vm", "");
}

static void vm_name_that_is_too_long_is_refused(void **state)
{
	char arg[300];

	(void)state;
	memset(arg, 'n', sizeof(arg));
	(void)strcpy(arg + 255, "=7");
	OK(run, "--vm", arg);
	assert_int_equal(strlen(o.live.forced[0].name), 255);
	memset(arg, 'n', sizeof(arg));
	(void)strcpy(arg + 256, "=7");
	BAD(run, "--vm", arg);
}

static void the_65th_vm_is_refused(void **state)
{
	const char *words[70];

	(void)state;
	for (int i = 0; i < 65; i++)
		words[i] = "--vm=web=7";
	words[64] = NULL;
	assert_int_equal(parse_words(&run, words), 0);
	assert_int_equal(o.live.forced_n, 64);
	words[64] = "--vm=web=7";
	words[65] = NULL;
	assert_int_equal(parse_words(&run, words), -EINVAL);
}

static void paths_must_not_be_empty(void **state)
{
	(void)state;
	OK(run, "--events", "/tmp/x", "--control", "/tmp/y");
	assert_string_equal(o.events, "/tmp/x");
	assert_string_equal(o.control, "/tmp/y");
	OK(run, "-e", "-");
	assert_string_equal(o.events, "-");
	BAD(run, "--events", "");
	BAD(run, "--control=");
}

static void libvirt_takes_a_uri_or_none(void **state)
{
	(void)state;
	OK(report, "-j");
	assert_null(o.live.libvirt);
	OK(run, "--libvirt", "none");
	assert_string_equal(o.live.libvirt, "none");
	OK(report, "--libvirt=qemu:///session");
	assert_string_equal(o.live.libvirt, "qemu:///session");
	BAD(run, "--libvirt", "");
}

static void synthetic_takes_a_number_and_a_seed(void **state)
{
	(void)state;
	OK(run, "-e", "-");
	assert_int_equal(o.synthetic.vms, 0);
	OK(run, "--synthetic", "10");
	assert_int_equal(o.synthetic.vms, 10);
	assert_int_equal(o.synthetic.seed, 1);
	OK(report, "--synthetic=4000,18446744073709551615");
	assert_int_equal(o.synthetic.vms, 4000);
	assert_true(o.synthetic.seed == UINT64_MAX);
	BAD(run, "--synthetic", "0");
	BAD(run, "--synthetic", "4001");
	BAD(run, "--synthetic", "-1");
	BAD(run, "--synthetic", "10,");
	BAD(run, "--synthetic", "10;3");
	BAD(run, "--synthetic", "10,3x");
	BAD(run, "--synthetic", "10,18446744073709551616");
}

static void events_are_chosen_by_vm_type_and_number(void **state)
{
	(void)state;
	OK(events, "-f", "--vm", "web=12", "--type", "drop.*", "--since", "18446744", "-n", "20", "--json",
	   "--control", "/x");
	assert_true(o.follow && o.json);
	assert_string_equal(o.vm, "web=12"); /* a name, no pid */
	assert_string_equal(o.type, "drop.*");
	assert_int_equal(o.since_seq, 18446744);
	assert_int_equal(o.lines, 20);
	assert_string_equal(o.control, "/x");
	OK(events, "--json");
	assert_false(o.follow);
	assert_null(o.vm);
	assert_null(o.type);
	assert_int_equal(o.since_seq, 0);
	assert_int_equal(o.lines, 0);
	BAD(events, "--since", "0");
	BAD(events, "--since", "-1");
	BAD(events, "--since", " 1");
	BAD(events, "--since", "1x");
	BAD(events, "--since", "9223372036854775808");
	BAD(events, "-n", "0");
	BAD(events, "--lines", "");
	BAD(events, "--vm", "");
	BAD(events, "--type", "");
	BAD(events, "--libvirt", "none");
	BAD(report, "--follow");
	BAD(run, "--type", "x");
}

static void missing_value_is_refused(void **state)
{
	(void)state;
	BAD(report, "--duration");
	BAD(report, "-d");
	BAD(run, "--events");
	BAD(run, "--vm");
	BAD(run, "--sample");
	BAD(run, "--control");
	BAD(doctor, "--deny-hook");
}

static void switch_takes_no_value(void **state)
{
	(void)state;
	BAD(report, "--json=yes");
	BAD(report, "--json=");
	BAD(report, "-jx");
}

static void unknown_words_are_refused(void **state)
{
	(void)state;
	BAD(report, "--colour");
	BAD(report, "--dur", "5"); /* no abbreviations */
	BAD(report, "--durations", "5");
	BAD(report, "-x");
	BAD(report, "5");
	BAD(report, "-");
	BAD(report, "--");
	BAD(report, "--=5");
	BAD(report, "");
}

static void options_of_another_command_are_refused(void **state)
{
	(void)state;
	BAD(report, "--events", "/tmp/x");
	BAD(run, "--duration", "5");
	BAD(run, "--json");
	BAD(doctor, "--vm", "web=12");
	BAD(doctor, "--standalone");
}

static void flags_of_run_override_keys_of_the_configuration(void **state)
{
	(void)state;
	OK(run, "-e", "x", "--vm", "a=1", "--sample=8", "--vm", "b=2", "--journal", "-c", "/y");
	assert_int_equal(o.overrides_n, 5);
	assert_string_equal(o.overrides[0].key, "events.file.path");
	assert_string_equal(o.overrides[0].value, "x");
	assert_string_equal(o.overrides[1].key, "probe.vms");
	assert_false(o.overrides[1].append);
	assert_string_equal(o.overrides[3].value, "b=2");
	assert_true(o.overrides[3].append);
	assert_string_equal(o.overrides[4].key, "events.journal");
	assert_string_equal(o.overrides[4].value, "true");
	assert_string_equal(o.config, "/y");
}

static void only_check_config_takes_a_word_that_is_no_option(void **state)
{
	(void)state;
	OK(check_config, "/x", "-j");
	assert_string_equal(o.operand, "/x");
	assert_true(o.json);
	OK(check_config, "--effective");
	assert_null(o.operand);
	BAD(check_config, "/x", "/y");
	BAD(check_config, "--=5");
	BAD(check_config, "");
	BAD(run, "/x");
}

static void refusal_says_something_on_stderr(void **state)
{
	char text[400] = "", *argv[] = { "--sample", "3" };
	int saved = dup(STDERR_FILENO), p[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_true(dup2(p[1], STDERR_FILENO) >= 0);
	(void)vs_options_parse(&run, 2, argv, &o);
	unit_unhush(saved);
	(void)close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	(void)close(p[0]);
	assert_true(n > 0);
	assert_non_null(strstr(text, "--sample"));
	assert_non_null(strstr(text, "power of two"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_arguments_there_are_defaults),
		cmocka_unit_test(switches_are_set_by_either_name),
		cmocka_unit_test(deep_window_is_ten_seconds_and_sixty_at_most),
		cmocka_unit_test(value_may_follow_or_be_joined),
		cmocka_unit_test(duration_must_be_a_number_in_range),
		cmocka_unit_test(sample_must_be_a_power_of_two),
		cmocka_unit_test(denied_hooks_add_up),
		cmocka_unit_test(vm_names_a_process),
		cmocka_unit_test(vm_without_a_name_or_a_pid_is_refused),
		cmocka_unit_test(vm_name_that_is_too_long_is_refused),
		cmocka_unit_test(the_65th_vm_is_refused),
		cmocka_unit_test(paths_must_not_be_empty),
		cmocka_unit_test(libvirt_takes_a_uri_or_none),
		cmocka_unit_test(synthetic_takes_a_number_and_a_seed),
		cmocka_unit_test(events_are_chosen_by_vm_type_and_number),
		cmocka_unit_test(missing_value_is_refused),
		cmocka_unit_test(switch_takes_no_value),
		cmocka_unit_test(unknown_words_are_refused),
		cmocka_unit_test(options_of_another_command_are_refused),
		cmocka_unit_test(flags_of_run_override_keys_of_the_configuration),
		cmocka_unit_test(only_check_config_takes_a_word_that_is_no_option),
		cmocka_unit_test(refusal_says_something_on_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
