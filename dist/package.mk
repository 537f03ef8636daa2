# SPDX-License-Identifier: GPL-2.0-or-later
# Installation and the Debian package; included by the Makefile.

UNITDIR    ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
D           = $(DESTDIR)$(PREFIX)

# What goes where, as SOURCE:TARGET; uninstall takes away the same. Parts of which there is nothing yet are left out.
INSTALL_PROGRAMS = build/virtscope:$(D)/bin/virtscope \
	$(if $(LIBVIRT),$(LIBVIRT):$(D)/libexec/virtscope-libvirt)
INSTALL_FILES = dist/systemd/virtscope.service:$(DESTDIR)$(UNITDIR)/virtscope.service \
	dist/sysusers.d/virtscope.conf:$(D)/lib/sysusers.d/virtscope.conf \
	dist/tmpfiles.d/virtscope.conf:$(D)/lib/tmpfiles.d/virtscope.conf \
	$(foreach f,README.md $(wildcard docs/*.md docs/*.json docs/virtscope.yaml),$f:$(D)/share/doc/virtscope/$(notdir $f)) \
	$(foreach f,$(sort $(wildcard docs/man/*.1)),$f:$(D)/share/man/man1/$(notdir $f)) \
	docs/man/virtscope.yaml.5:$(D)/share/man/man5/virtscope.yaml.5 \
	docs/man/virtscope-events.7:$(D)/share/man/man7/virtscope-events.7 \
	dist/completion/virtscope.bash:$(D)/share/bash-completion/completions/virtscope \
	dist/completion/_virtscope:$(D)/share/zsh/vendor-completions/_virtscope \
	$(foreach f,$(sort $(wildcard dist/prometheus/*.yml dist/prometheus/*.yaml)),$f:$(D)/share/virtscope/prometheus/$(notdir $f)) \
	$(foreach f,$(sort $(wildcard dist/grafana/*.json dist/grafana/*.yml)),$f:$(D)/share/virtscope/grafana/$(notdir $f))
# The administrator's own: never overwritten, never taken away.
INSTALL_CONFIG = dist/virtscope.yaml:$(DESTDIR)$(SYSCONFDIR)/virtscope/virtscope.yaml \
	dist/logrotate.d/virtscope:$(DESTDIR)$(SYSCONFDIR)/logrotate.d/virtscope

from = $(firstword $(subst :, ,$1))
to   = $(lastword $(subst :, ,$1))
define newline


endef

.PHONY: install uninstall deb
install: all ## install below DESTDIR (PREFIX=/usr); files in /etc that are there stay as they are
	$(foreach f,$(INSTALL_PROGRAMS),install -D -m 755 $(call from,$f) $(call to,$f)$(newline)	)
	$(foreach f,$(INSTALL_FILES),install -D -m 644 $(call from,$f) $(call to,$f)$(newline)	)
	$(foreach f,$(INSTALL_CONFIG),test -e $(call to,$f) || install -D -m 644 $(call from,$f) $(call to,$f)$(newline)	)
	sed -i 's|^ExecStart=/usr/bin/|ExecStart=$(PREFIX)/bin/|' $(DESTDIR)$(UNITDIR)/virtscope.service

uninstall: ## take away what install put there, except files in /etc
	rm -f $(foreach f,$(INSTALL_PROGRAMS) $(INSTALL_FILES),$(call to,$f))
	for d in share/doc/virtscope share/virtscope/prometheus share/virtscope/grafana share/virtscope; do \
		! [ -d $(D)/$$d ] || rmdir --ignore-fail-on-non-empty $(D)/$$d; done

# The tree is copied, so that debhelper's traces and a debian/changelog that says VERSION stay out of it.
# The date is the last commit's: the same tree makes the same package.
deb: ## build/deb/virtscope_VERSION_ARCH.deb (VERSION=... makes one of another version)
	$(Q)rm -rf build/deb/tree && mkdir -p build/deb/tree
	$(Q)git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t build/deb/tree
	$(Q)mv build/deb/tree/dist/debian build/deb/tree/debian
	$(Q)echo '$(VERSION)' > build/deb/tree/VERSION
	$(Q)printf 'virtscope (%s) unstable; urgency=medium\n\n  * docs/CHANGELOG.md has the changes.\n\n -- %s  %s\n' \
		'$(VERSION)' "$$(sed -n 's/^Maintainer: //p' dist/debian/control)" "$$(git log -1 --format=%cD)" \
		> build/deb/tree/debian/changelog
	$(Q)cd build/deb/tree && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEB_BUILD_OPTIONS="parallel=$$(nproc) noautodbgsym" \
		dpkg-buildpackage -b -us -uc > ../build.log 2>&1 || { tail -n 30 ../build.log; exit 1; }
	$(Q)rm -rf build/deb/tree
	@ls build/deb/virtscope_$(VERSION)_*.deb
