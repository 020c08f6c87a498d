package localpg

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is the operating system account that runs the server and owns its files.
type account struct {
	uid, gid uint32
	switched bool // not the account of this process
}

// serverAccount is this process's own account, or as root `consilium` or
// `postgres`: PostgreSQL refuses to run as root.
func serverAccount() (account, error) {
	if uid := os.Geteuid(); uid != 0 {
		return account{uid: uint32(uid), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"consilium", "postgres"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errU := strconv.ParseUint(u.Uid, 10, 32)
		gid, errG := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errU, errG); err != nil {
			return account{}, fmt.Errorf("account %s: %w", name, err)
		}
		if uid == 0 {
			continue
		}
		return account{uint32(uid), uint32(gid), true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root and there is no account consilium or postgres: run: useradd --system consilium")
}

func (a account) credential() *syscall.Credential {
	if !a.switched {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives a file or directory to the account.
func (a account) own(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}
