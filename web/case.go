package web

// caseRoutes are the addresses of the case pages.
func (s *Server) caseRoutes() []route { return nil }
