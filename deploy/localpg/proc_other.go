//go:build !linux

package localpg

import "syscall"

// attributes start the server in a process group of its own, so that Ctrl-C
// reaches it only after the drain. A server left behind by a killed parent is
// stopped by the next start.
func attributes(a account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
}
