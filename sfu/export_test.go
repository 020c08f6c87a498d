package sfu

// NewLossy is New with packets lost: in and out say which of them.
func NewLossy(cfg Config, in, out func([]byte) bool) (*Server, error) {
	cfg.lose, cfg.loseSent = in, out
	return New(cfg)
}

// Tick does the periodic work of one second's end at once.
func (s *Server) Tick() { s.tick(0) }
