# Debian packages: what is needed, and getting it.
# SPDX-License-Identifier: MIT

.PHONY: packages deps

packages:
	@scripts/deps check build

# DEPS="build test lint optional" adds emulators and other heavy tools.
DEPS ?= build test lint

deps: ## Install the Debian packages that are missing
	@scripts/deps install $(DEPS)
