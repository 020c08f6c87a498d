package web

import "net/http"

func (s *Server) profilePage(w http.ResponseWriter, r *http.Request) error      { return errNotFound }
func (s *Server) saveProfile(w http.ResponseWriter, r *http.Request) error      { return errNotFound }
func (s *Server) beginEnrollment(w http.ResponseWriter, r *http.Request) error  { return errNotFound }
func (s *Server) finishEnrollment(w http.ResponseWriter, r *http.Request) error { return errNotFound }
func (s *Server) endLogin(w http.ResponseWriter, r *http.Request) error         { return errNotFound }
func (s *Server) outboxPage(w http.ResponseWriter, r *http.Request) error       { return errNotFound }
func (s *Server) outboxAttachment(w http.ResponseWriter, r *http.Request) error { return errNotFound }
