package workspace

// WriteBundle lets tests pack changed parts as the service packs its own.
var WriteBundle = writeBundle
