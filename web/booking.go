package web

// bookingRoutes are the addresses of the booking pages.
func (s *Server) bookingRoutes() []route { return nil }
