package turn

import "net"

// Permits is what the server says of an address.
func Permits(s *Server, ip net.IP) bool { return s.permit(nil, ip) }
