package web

// officerRoutes are the addresses of the officer pages.
func (s *Server) officerRoutes() []route { return nil }
