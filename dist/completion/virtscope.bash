# SPDX-License-Identifier: GPL-2.0-or-later
# Made by scripts/gen-completion from the program's table of options: edit that.
# bash completion for virtscope

_virtscope()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words files=
	COMPREPLY=()
	# --option=value arrives as three words.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD-2]}
	fi
	if ((COMP_CWORD == 1)); then
		words='report run events doctor check-config help --help --version'
	elif [[ ${COMP_WORDS[1]} == help ]]; then
		words='report run events doctor check-config'
	else
		case ${COMP_WORDS[1]}:$prev in
		report:--duration|report:-d) return ;;
		report:--control) files=1 ;;
		report:--vm) return ;;
		report:--libvirt) return ;;
		report:--sample) return ;;
		report:--deny-hook) words='tp_btf raw_tp iter fentry kprobe sched bpf' ;;
		report:--synthetic) return ;;
		run:--config|run:-c) files=1 ;;
		run:--events|run:-e) files=1 ;;
		run:--control) files=1 ;;
		run:--metrics) return ;;
		run:--user) return ;;
		run:--vm) return ;;
		run:--libvirt) return ;;
		run:--sample) return ;;
		run:--deny-hook) words='tp_btf raw_tp iter fentry kprobe sched bpf' ;;
		run:--synthetic) return ;;
		events:--vm) return ;;
		events:--type) words='vm.start vm.stop vm.state vnic.attach vnic.detach disk.seen disk.attach disk.detach disk.io_error drop.burst anomaly libvirt.lost libvirt.restored sink.dropped self.lost self.degraded' ;;
		events:--since) return ;;
		events:--lines|events:-n) return ;;
		events:--control) files=1 ;;
		doctor:--libvirt) return ;;
		doctor:--deny-hook) words='tp_btf raw_tp iter fentry kprobe sched bpf' ;;
		report:*) words='--duration --json --histogram --deep --standalone --control --vm --libvirt --sample --deny-hook --synthetic --require-bpf --verbose --help' ;;
		run:*) words='--config --events --journal --control --metrics --user --vm --libvirt --sample --deny-hook --synthetic --require-bpf --verbose --help' ;;
		events:*) words='--follow --vm --type --since --lines --json --control --verbose --help' ;;
		doctor:*) words='--json --libvirt --deny-hook --verbose --help' ;;
		check-config:*) words='--json --effective --print-defaults --verbose --help'; [[ $cur == -* ]] || files=1 ;;
		esac
	fi
	if [[ $files ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		compopt -o filenames 2> /dev/null
	else
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	fi
}
complete -F _virtscope virtscope
