package localpg

import "syscall"

// attributes start the server in a process group of its own, so that Ctrl-C
// reaches it only after the drain, and let it stop cleanly when this process dies.
// The signal fires when the starting thread ends: see Cluster.run.
func attributes(a account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT, Credential: a.credential()}
}
