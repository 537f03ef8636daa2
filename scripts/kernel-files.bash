# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kernel-files.bash: what guest-image, host-kernel and host-vm share: an initramfs out of a static busybox, some modules of an
# unpacked kernel package and one script. Sourced; the caller sets $me, the name in its messages.

die()
{
	# shellcheck disable=SC2154 # the caller's
	printf '%s: %s\n' "$me" "$1" >&2
	shift
	if [ $# -gt 0 ]; then
		printf '  %s\n' "$@" >&2
	fi
	exit 1
}

# Copies one module into a folder, decompressed: busybox's insmod takes plain files only.
put_module()
{
	local file=$1 to=$2
	case $file in
	*.ko) cp "$file" "$to/" ;;
	*.ko.xz) xz -dc "$file" >"$to/$(basename "${file%.xz}")" ;;
	*.ko.zst) zstd -qdc "$file" >"$to/$(basename "${file%.zst}")" ;;
	*) die "cannot unpack module $file: unknown compression" ;;
	esac
}

# Copies the modules $3... and what they depend on out of the unpacked kernel $1 into folder $2, and lists them there
# in the file 'order', in which they are to be loaded.
put_modules()
{
	local kernel=$1 to=$2 release module line file
	shift 2
	release=$(cat "$kernel/release")
	mkdir -p "$to"
	: >"$to/order"
	for module; do
		while read -r line file _; do
			[ "$line" = insmod ] || continue
			put_module "$file" "$to"
			file=$(basename "$file")
			file=${file%%.ko*}.ko
			grep -qxF "$file" "$to/order" || printf '%s\n' "$file" >>"$to/order"
		done < <(modprobe -d "$kernel" -S "$release" --show-depends "$module")
	done
	[ -s "$to/order" ] || die "cannot make an initramfs: kernel $release has none of the modules $*"
}

# Makes folder $1 an initramfs's tree: busybox with the applets $3... and script $2 as its first process.
put_busybox()
{
	local tree=$1 init=$2 busybox applet
	shift 2
	busybox=$(command -v busybox) || die "cannot make an initramfs: no busybox" "'scripts/setup' installs it (package busybox-static)."
	mkdir -p "$tree"/{bin,dev,proc,sys,lib/modules}
	cp "$busybox" "$tree/bin/busybox"
	for applet; do
		ln -s busybox "$tree/bin/$applet"
	done
	install -m 755 "$init" "$tree/init"
}

# Packs tree $1 into file $2, replaced in one step. Uncompressed: unpacking takes an emulated machine longer than
# reading, and a few megabytes are nothing.
pack_initramfs()
{
	(cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -0 -o -H newc) >"$2.new"
	mv "$2.new" "$2"
}
