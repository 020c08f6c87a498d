package i18n

// Messages of the panel area: the pages of the panels of a clinic.
const (
	PanelAllPaused     ID = "panel.all_paused"
	PanelChange        ID = "panel.change"
	PanelChangeName    ID = "panel.change_name"
	PanelHint          ID = "panel.hint"
	PanelHistory       ID = "panel.history"
	PanelMembersHint   ID = "panel.members_hint"
	PanelNobody        ID = "panel.nobody"
	PanelOrder         ID = "panel.order"
	PanelOrderBad      ID = "panel.order_bad"
	PanelOther         ID = "panel.other"
	PanelPause         ID = "panel.pause"
	PanelPaused        ID = "panel.paused"
	PanelShare         ID = "panel.share"
	PanelShareBad      ID = "panel.share_bad"
	PanelSpecialty     ID = "panel.specialty"
	PanelSpecialtyHint ID = "panel.specialty_hint"
	PanelTaken         ID = "panel.taken"
	PanelTimes         ID = "panel.times"
	PanelVersion       ID = "panel.version"
	PanelWrong         ID = "panel.wrong"
)
