package web

// roomRoutes are the addresses of the room pages.
func (s *Server) roomRoutes() []route { return nil }
