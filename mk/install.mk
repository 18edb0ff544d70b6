# Where things go on the user's machine. Nothing is compiled here that `make` did not compile.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR := $(DESTDIR)$(PREFIX)/bin
LIBDIR := $(DESTDIR)$(PREFIX)/lib
INCDIR := $(DESTDIR)$(PREFIX)/include
MANDIR := $(DESTDIR)$(PREFIX)/share/man
BASH_DIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
WASIDIR := $(DESTDIR)$(PREFIX)/share/vireo/wasi
MAN_PAGES := $(wildcard docs/man/*.[1-9])

.PHONY: install uninstall
install: all ## programs, headers, libraries, pkg-config file, man pages and shell completions, under PREFIX (/usr/local) and DESTDIR
	install -d $(BINDIR) $(LIBDIR)/pkgconfig $(INCDIR)
	for p in $(PROGRAMS); do install -m 755 $(BUILD)/$$p $(BINDIR)/$$p || exit; done
	install -m 644 include/vireo.h include/vireo_sandbox.h include/vireo_guest.h include/vireo_sandbox_guest.h $(INCDIR)
	install -m 644 $(BUILD)/libvireo.a $(LIBDIR)/libvireo.a
	install -m 755 $(BUILD)/$(SHARED) $(LIBDIR)/libvireo.so.$(VERSION)
	ln -sf libvireo.so.$(VERSION) $(LIBDIR)/$(SHARED)
	ln -sf $(SHARED) $(LIBDIR)/libvireo.so
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' -e 's|@LIBS_PRIVATE@|$(LIBS:%=-l%)|g' \
		docs/vireo.pc.in > $(LIBDIR)/pkgconfig/vireo.pc
	sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@VERSION@|$(VERSION)|g' docs/vireo-guest.pc.in > $(LIBDIR)/pkgconfig/vireo-guest.pc
	for file in $(WASI_FILES); do install -D -m 644 $$file $(WASIDIR)/$${file##*/} || exit; done
	install -D -m 644 scripts/completion/vireo.bash $(BASH_DIR)/vireo
	install -D -m 644 scripts/completion/_vireo $(ZSH_DIR)/_vireo
	for page in $(MAN_PAGES); do install -D -m 644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit; done

uninstall: ## remove what install put there
	rm -f $(PROGRAMS:%=$(BINDIR)/%) $(INCDIR)/vireo.h $(INCDIR)/vireo_guest.h $(LIBDIR)/libvireo.a $(LIBDIR)/libvireo.so $(LIBDIR)/$(SHARED) \
		$(LIBDIR)/libvireo.so.$(VERSION) $(LIBDIR)/pkgconfig/vireo.pc $(LIBDIR)/pkgconfig/vireo-guest.pc $(INCDIR)/vireo_sandbox.h $(INCDIR)/vireo_sandbox_guest.h $(BASH_DIR)/vireo $(ZSH_DIR)/_vireo
	rm -f $(patsubst $(BUILD)/wasi/%,$(WASIDIR)/%,$(WASI_FILES))
	for page in $(MAN_PAGES); do rm -f $(MANDIR)/man$${page##*.}/$${page##*/}; done
