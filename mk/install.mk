# Installing: programs, libraries, headers, manual pages, pkg-config, CMake,
# systemd.
# SPDX-License-Identifier: MIT

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system

HEADERS := $(wildcard include/farsock/*.h include/farsock/*.def)
MAN := $(wildcard docs/man/*.[1-9])
CMAKE := $(wildcard packaging/cmake/*.in)
UNITS := $(wildcard packaging/systemd/*.service packaging/systemd/*.socket)

define pkgconfig
prefix=$(PREFIX)
libdir=$(LIBDIR)
includedir=$(INCLUDEDIR)

Name: farsock
Description: BSD sockets whose network is on the far core
Version: $(VERSION)
Libs: -L$${libdir} -lfarsock
Libs.private: -pthread
Cflags: -I$${includedir}
endef

.PHONY: install

install: products ## Install under DESTDIR and PREFIX (/usr/local)
	$(call say,INSTALL,$(DESTDIR)$(PREFIX))
	$(Q)install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR) \
	    $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/farsock
	$(Q)install $(TOOL) $(DESTDIR)$(BINDIR)
	$(Q)install $(FARSOCKD) $(DESTDIR)$(SBINDIR)
	$(Q)install -m 644 $(LIB) $(DESTDIR)$(LIBDIR)
	$(Q)install -m 755 $(SHLIB) $(PRELOAD) $(DESTDIR)$(LIBDIR)
	$(Q)ln -sf $(notdir $(SHLIB)) $(DESTDIR)$(LIBDIR)/libfarsock.so
	$(Q)install -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)/farsock
	$(file >$(B)/farsock.pc,$(pkgconfig))
	$(Q)install -m 644 $(B)/farsock.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	$(Q)install -d $(DESTDIR)$(LIBDIR)/cmake/farsock
	$(Q)for file in $(CMAKE); do \
	    sed 's,@VERSION@,$(VERSION),g;s,@SOVERSION@,$(SOVERSION),g' $$file \
	        >$(DESTDIR)$(LIBDIR)/cmake/farsock/$$(basename $$file .in) || exit 1; \
	done
	$(Q)for page in $(MAN); do \
	    dir=$(DESTDIR)$(MANDIR)/man$${page##*.}; \
	    install -d $$dir && install -m 644 $$page $$dir || exit 1; \
	    for name in $$(sed -n 's/^\.Nm \(far_[a-z_]*\).*/\1/p' $$page); do \
	        [ -e $$dir/$$name.3 ] || ln -s $${page##*/} $$dir/$$name.3; \
	    done; \
	done
	$(Q)for unit in $(UNITS); do \
	    install -d $(DESTDIR)$(UNITDIR) || exit 1; \
	    sed 's,@SBINDIR@,$(SBINDIR),g' $$unit \
	        >$(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; \
	done
