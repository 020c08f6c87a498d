# What a person types. The work is done by the scripts beside the things they serve.

GO ?= go

.PHONY: help run build web generate check test test-long clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: build ## build and start the demonstration with its cast (ARGS=--reset begins anew)
	@sh deploy/need.sh postgres
	@exec ./bin/consilium demo $(ARGS)

build: web ## build bin/consilium
	@mkdir -p bin
	@$(GO) build -o bin/consilium ./cmd/consilium

web: web/ts/node_modules/.package-lock.json ## bundle the browser's code into web/static/dist
	@cd web/ts && npm run --silent build

web/ts/node_modules/.package-lock.json: web/ts/package-lock.json
	@cd web/ts && npm ci --no-audit --no-fund --loglevel=error

generate: ## rewrite what is made from other files (templ components)
	@$(GO) tool templ generate -path web -log-level error

check: ## format, vet, staticcheck and types, without running a test
	@sh deploy/test.sh check

test: ## everything that CI runs
	@sh deploy/test.sh all

test-long: ## hours, root or a network of its own: soak, long fuzzing, promises
	@sh deploy/test.sh long

clean: ## remove what was built
	@rm -rf bin web/static/dist/* web/ts/node_modules web/ts/test-results
